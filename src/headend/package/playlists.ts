import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "../../base/units.ts";
import { isElsewhere, resolve } from "../../content/path.ts";
import { readPresentation } from "./dash.ts";
import type { Source } from "./folder.ts";
import { type Playlist, readPlaylist } from "./hls.ts";
import type { References } from "./reference.ts";
import type { Report } from "./report.ts";

/** Nobody writes a larger playlist or manifest. */
const MAX_PLAYLIST = 64 * MiB;

/**
 * Follows the playlists and manifests of a folder from those that a player starts with, and adds every file that they name.
 * A folder may hold HLS and DASH over the same segments; HLS then counts.
 * @returns seconds of the longest rendition
 */
export async function readPlaylists(
	source: Source,
	references: References,
	report: Report,
	signal: AbortSignal,
): Promise<{ kind: "hls" | "dash"; duration: number }> {
	const texts = await readTexts(source, report, signal);
	const playlists = new Map<string, Playlist>();
	for (const [path, text] of texts)
		if (/\.m3u8?$/i.test(path)) playlists.set(path, readPlaylist(text));
	const durations: number[] = [0];
	const seen = new Set<string>();
	const follow = (path: string): void => {
		const playlist = playlists.get(path);
		if (playlist === undefined || seen.has(path)) return;
		seen.add(path);
		durations.push(playlist.duration);
		for (const [what, remedy] of playlist.faults)
			report.fault(path, what, remedy);
		warnOfSteering(path, playlist.steeredBy, report);
		const named = playlist.references.map(
			(reference) => [reference, references.add(path, reference)] as const,
		);
		for (const [{ role }, file] of named)
			if (role === "playlist" && file !== undefined) follow(file);
	};
	for (const path of entries(playlists, report)) {
		references.add("", { uri: encodeURIComponent(path), role: "playlist" });
		follow(path);
	}
	for (const [path, text] of [...texts].sort(byDepth)) {
		if (!/\.mpd$/i.test(path)) continue;
		references.add("", { uri: encodeURIComponent(path), role: "playlist" });
		const presentation = readPresentation(text);
		durations.push(presentation.duration);
		for (const [what, remedy] of presentation.faults)
			report.fault(path, what, remedy);
		warnOfSteering(path, presentation.steeredBy, report);
		for (const reference of presentation.references)
			references.add(path, reference);
	}
	for (const path of playlists.keys()) {
		if (seen.has(path)) continue;
		report.warn(
			path,
			"no other playlist names it, so that it was not checked",
			"Name it in the multivariant playlist, or remove it.",
		);
	}
	const kind = playlists.size > 0 ? "hls" : "dash";
	return { kind, duration: Math.max(...durations) };
}

/** A server elsewhere does not know that a player is at a box, whose address no other server has. */
function warnOfSteering(
	path: string,
	server: string | undefined,
	report: Report,
): void {
	if (server === undefined || server.startsWith("data:")) return;
	const isOurs = !isElsewhere(server) && resolve(path, server) !== undefined;
	if (isOurs) return;
	report.warn(
		path,
		`its players are steered by ${server}, which may lead them away from their box`,
		"Name the steering server by a relative address: each box answers there itself.",
	);
}

/** The playlists that players start with, the likeliest first. */
function entries(
	playlists: ReadonlyMap<string, Playlist>,
	report: Report,
): string[] {
	const named = new Set<string>();
	for (const [from, { references }] of playlists)
		for (const { uri, role } of references)
			if (role === "playlist") named.add(resolve(from, uri) ?? "");
	const roots = [...playlists].filter(([path]) => !named.has(path));
	const multivariant = roots.filter(([, playlist]) => playlist.multivariant);
	if (multivariant.length > 0) return multivariant.sort(byDepth).map(pathOf);
	if (playlists.size > 0 && roots.length !== 1) {
		report.fault(
			".",
			"there are several playlists and none that names them all",
			"Add a multivariant (master) playlist.",
		);
	}
	return roots.sort(byDepth).map(pathOf);
}

async function readTexts(
	source: Source,
	report: Report,
	signal: AbortSignal,
): Promise<Map<string, string>> {
	const texts = new Map<string, string>();
	for (const { path, size } of source.files.values()) {
		if (!/\.(m3u8?|mpd)$/i.test(path)) continue;
		if (size > MAX_PLAYLIST)
			report.fault(path, "it is too large for a playlist", "Package it again.");
		else
			texts.set(
				path,
				await readFile(join(source.root, path), { encoding: "utf8", signal }),
			);
	}
	return texts;
}

function byDepth(
	[a]: readonly [string, unknown],
	[b]: readonly [string, unknown],
) {
	return rank(a) - rank(b) || (a < b ? -1 : 1);
}

/** Playlists near the top and with the usual names come first. */
function rank(path: string): number {
	const usual = /(^|\/)(master|main|index|manifest|playlist)\.\w+$/i.test(path);
	return path.split("/").length * 2 + (usual ? 0 : 1);
}

function pathOf([path]: readonly [string, unknown]): string {
	return path;
}
