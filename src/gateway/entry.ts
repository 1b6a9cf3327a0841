import type { Manifest, TitleFile } from "../content/manifest.ts";

/** What a player needs to know to play a title. */
export type Format = "hls" | "dash" | "mp4";

/** The file that a player starts with. */
export interface Entry {
	readonly format: Format;
	readonly path: string;
}

// In the order in which a package that holds several is best played: HLS plays in most players.
const ENDINGS: readonly [Format, RegExp][] = [
	["hls", /\.m3u8?$/i],
	["dash", /\.mpd$/i],
	["mp4", /\.(mp4|m4v|mov|webm)$/i],
];
const NAMES = ["master", "main", "index", "manifest", "playlist", "stream"];

/** The multivariant playlist, MPD or film of a title; undefined when none of its files is one. */
export function entryOf(manifest: Manifest): Entry | undefined {
	for (const [format, ending] of ENDINGS) {
		const [first, ...others] = manifest.files.filter((file) =>
			ending.test(file.path),
		);
		if (first === undefined) continue;
		return { format, path: others.reduce(likelier, first).path };
	}
	return undefined;
}

/** The entry lies above what it refers to, mostly under a well-known name or one that the others extend. */
function likelier(a: TitleFile, b: TitleFile): TitleFile {
	const order = depth(a) - depth(b) || known(a) - known(b) || size(a) - size(b);
	return order <= 0 ? a : b;
}

function depth({ path }: TitleFile): number {
	return path.split("/").length;
}

function known({ path }: TitleFile): number {
	const stem = path.slice(path.lastIndexOf("/") + 1).replace(/\.\w+$/, "");
	const place = NAMES.indexOf(stem.toLowerCase());
	return place < 0 ? NAMES.length : place;
}

function size({ path }: TitleFile): number {
	return path.length;
}
