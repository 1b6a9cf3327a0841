import { parse, setOptions, type types } from "hls-parser";
import { isElsewhere } from "../../content/path.ts";
import type { Reference } from "./reference.ts";

/** One playlist: what it names, and for how long it plays. */
export interface Playlist {
	/** Names renditions, not segments. */
	readonly multivariant: boolean;
	/** Seconds; 0 for a multivariant playlist. */
	readonly duration: number;
	readonly references: readonly Reference[];
	/** The address of its steering server, as written. */
	readonly steeredBy?: string | undefined;
	/** What is wrong with it: [what, remedy]. */
	readonly faults: readonly (readonly [string, string])[];
}

// The parser prints what it objects to unless told otherwise.
setOptions({ strictMode: false, silent: true });

const PLAYLIST_TAGS = [
	"#EXT-X-MEDIA",
	"#EXT-X-I-FRAME-STREAM-INF",
	"#EXT-X-IMAGE-STREAM-INF",
];
const STEERED = /^#EXT-X-CONTENT-STEERING:(?:.*,)?\s*SERVER-URI="([^"]*)"/m;
const KEY_TAGS = ["#EXT-X-KEY", "#EXT-X-SESSION-KEY"];
/** Read with the segments, or of live streams only. */
const OTHER_TAGS = [
	"#EXT-X-MAP",
	"#EXT-X-PRELOAD-HINT",
	"#EXT-X-RENDITION-REPORT",
];

/** Reads one HLS playlist (RFC 8216). Keys and licences that come from servers or key systems (`skd:`) are no references. */
export function readPlaylist(text: string): Playlist {
	// Titles of segments are of no use here, and the parser trips over some.
	const plain = text
		.replace(/^\uFEFF/, "")
		.replace(/^(#EXTINF:[^,\r\n]*),.*$/gm, "$1,");
	if (!plain.startsWith("#EXTM3U"))
		return unreadable("it does not start with #EXTM3U");
	if (plain.includes("\n#EXT-X-DEFINE:"))
		return unreadable("it uses variables (EXT-X-DEFINE)");
	let parsed: types.MasterPlaylist | types.MediaPlaylist;
	try {
		parsed = parse(plain);
	} catch (error) {
		// Where the parser trips over itself its words are of no use to a person.
		const why =
			error instanceof Error && !(error instanceof TypeError)
				? error.message
				: "a line stands where HLS allows none";
		return unreadable(`it cannot be read (${why})`);
	}
	return parsed.isMasterPlaylist
		? readMultivariant(parsed, plain)
		: readMedia(parsed, plain);
}

function readMultivariant(
	playlist: types.MasterPlaylist,
	text: string,
): Playlist {
	const variants = playlist.variants.filter(
		({ isIFrameOnly, uri }) => isIFrameOnly !== true && uri !== undefined,
	);
	return {
		multivariant: true,
		duration: 0,
		steeredBy: STEERED.exec(text)?.[1],
		references: [
			...variants.map(({ uri }) => ({ uri, role: "playlist" as const })),
			...readTags(text),
		],
		faults:
			variants.length === 0
				? [["it names no rendition", "Package it again."]]
				: [],
	};
}

function readMedia(playlist: types.MediaPlaylist, text: string): Playlist {
	const faults: [string, string][] = [];
	if (!playlist.endlist) {
		faults.push([
			"it is the playlist of a live stream (no #EXT-X-ENDLIST)",
			"Wait until the recording has ended, or package it as video on demand.",
		]);
	}
	if (playlist.segments.length === 0)
		faults.push(["it names no segment", "Package it again."]);
	const references: Reference[] = [];
	let duration = 0;
	for (const segment of playlist.segments) {
		duration += segment.duration ?? 0;
		const { map, uri, byterange, gap } = segment;
		if (map?.uri !== undefined && !map.uri.startsWith("data:"))
			references.push({ uri: map.uri, role: "init", range: map.byterange });
		if (gap !== true && uri !== undefined)
			references.push({ uri, role: "media", range: byterange });
	}
	references.push(...readTags(text));
	return { multivariant: false, duration, references, faults };
}

/** What tags name by a URI of their own: also tags that the parser does not know, and renditions that nothing selects. */
function readTags(text: string): Reference[] {
	const references: Reference[] = [];
	for (const line of text.split(/\r?\n/)) {
		const [tag = ""] = line.split(":", 1);
		const uri = /[:,]\s*URI="([^"]*)"/.exec(line)?.[1];
		if (!tag.startsWith("#EXT-X-") || uri === undefined) continue;
		if (OTHER_TAGS.includes(tag)) continue;
		if (PLAYLIST_TAGS.includes(tag)) references.push({ uri, role: "playlist" });
		else if (tag === "#EXT-X-PART") references.push({ uri, role: "media" });
		else if (!isElsewhere(uri))
			references.push({
				uri,
				role: KEY_TAGS.includes(tag) ? "init" : "other",
			});
	}
	return references;
}

function unreadable(what: string): Playlist {
	return {
		multivariant: false,
		duration: 0,
		references: [],
		faults: [[what, "Package it again as plain HLS."]],
	};
}
