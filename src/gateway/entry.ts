import type { Manifest } from "../content/manifest.ts";

/** What a player needs to know to play a title. */
export type Format = "hls" | "dash" | "mp4";

/** The file that a player starts with. */
export interface Entry {
	readonly format: Format;
	readonly path: string;
}

// Of a package that holds several, HLS first: it plays in most players.
const ENDINGS: readonly [Format, RegExp][] = [
	["hls", /\.m3u8?$/i],
	["dash", /\.mpd$/i],
	["mp4", /\.(mp4|m4v)$/i],
];

/** The multivariant playlist, MPD or film of a title; undefined when none of its files is one. */
export function entryOf(manifest: Manifest): Entry | undefined {
	return entriesOf(manifest)[0];
}

/** The same for each format in which the title can be played. Publishing puts what a player starts with before what that refers to. */
export function entriesOf(manifest: Manifest): Entry[] {
	return ENDINGS.flatMap(([format, ending]) => {
		const first = manifest.files.find(({ path }) => ending.test(path));
		return first === undefined ? [] : [{ format, path: first.path }];
	});
}
