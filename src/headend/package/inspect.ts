import { open } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/errors.ts";
import type { Bytes } from "../../base/units.ts";
import { MAX_TITLE_SIZE } from "../../content/cipher.ts";
import { mediaType } from "../../content/path.ts";
import { type Source, type SourceFile, survey } from "./folder.ts";
import { MovieBroken, readMovie } from "./mp4.ts";
import { readPlaylists } from "./playlists.ts";
import { References, ROLES } from "./reference.ts";
import { type Remark, Report } from "./report.ts";

export interface PackageFile extends SourceFile {
	/** Media type, as it is served. */
	readonly type: string;
}

/** A title as it lies in a folder. */
export interface Package {
	readonly kind: "hls" | "dash" | "mp4" | "files";
	/** Real, absolute path that the files' paths start from. */
	readonly root: string;
	readonly name: string;
	/** In byte-space order; a player starts with the first. */
	readonly files: readonly PackageFile[];
	readonly size: Bytes;
	/** Seconds; 0 when nothing says how long it plays. */
	readonly duration: number;
	readonly warnings: readonly Remark[];
	/** Everything that was found, to see later whether it has changed. */
	readonly source: Source;
}

export type Inspection =
	| { readonly ok: true; readonly value: Package }
	| {
			readonly ok: false;
			/** All that must be mended, not only the first. */
			readonly faults: readonly Remark[];
			readonly warnings: readonly Remark[];
	  };

const MAX_FILES = 200_000;
const MOVIE = /\.(mp4|m4v)$/i;

/** Looks through a title: a folder with an HLS or DASH package or one MP4 file, or an MP4 file. Throws only what the disk or `signal` throws. */
export function inspect(
	path: string,
	signal: AbortSignal,
): Promise<Inspection> {
	return look(path, signal, async (source, references, report) => {
		const names = [...source.files.keys()];
		if (source.alone && !MOVIE.test(names.join())) {
			report.fault(
				".",
				"it is neither a folder nor an MP4 file",
				"Publish the folder of a package, or an MP4 file.",
			);
			return { kind: "files", duration: 0 };
		}
		if (names.some((name) => /\.(m3u8?|mpd)$/i.test(name)))
			return readPlaylists(source, references, report, signal);
		const movies = names.filter((name) => MOVIE.test(name));
		const [movie] = movies;
		if (movie === undefined) {
			report.fault(
				".",
				"there is no HLS playlist, DASH manifest or MP4 file in it",
				"Publish a folder with a package, or an MP4 file.",
			);
		} else if (movies.length > 1) {
			report.fault(
				".",
				`there are ${movies.length} MP4 files in it and no playlist`,
				"Publish each of them by itself.",
			);
		} else {
			references.add("", { uri: encodeURIComponent(movie), role: "media" });
			const duration = await inspectMovie(source, movie, report, signal);
			return { kind: "mp4", duration };
		}
		return { kind: "mp4", duration: 0 };
	});
}

/** Takes a file or folder of anything, such as a release of the receiver's software, as it is. */
export function inspectFiles(
	path: string,
	signal: AbortSignal,
): Promise<Inspection> {
	return look(path, signal, async () => ({ kind: "files", duration: 0 }));
}

async function look(
	path: string,
	signal: AbortSignal,
	read: (
		source: Source,
		references: References,
		report: Report,
	) => Promise<Pick<Package, "kind" | "duration">>,
): Promise<Inspection> {
	const report = new Report();
	const source = await find(path, report, signal);
	if (source === undefined || source.files.size === 0) {
		if (source !== undefined && report.faults.length === 0)
			report.fault(".", "there is nothing in it", "Put a package there.");
		return { ok: false, faults: report.faults, warnings: report.warnings };
	}
	const references = new References(source, report);
	const { kind, duration } = await read(source, references, report);
	const files = arrange(source, references, report);
	const size = files.reduce((sum, file) => sum + file.size, 0);
	if (size > MAX_TITLE_SIZE)
		report.fault(".", "it is larger than 256 GiB", "Publish it in parts.");
	if (files.length > MAX_FILES) {
		report.fault(
			".",
			`it has ${files.length} files, more than ${MAX_FILES}`,
			"Package it with longer segments or one file per rendition.",
		);
	}
	const { faults, warnings } = report;
	if (faults.length > 0) return { ok: false, faults, warnings };
	const { root, name } = source;
	return {
		ok: true,
		value: { kind, root, name, files, size, duration, warnings, source },
	};
}

async function find(
	path: string,
	report: Report,
	signal: AbortSignal,
): Promise<Source | undefined> {
	try {
		return await survey(path, report, signal);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
		report.fault(".", `there is no ${path}`, "Name a folder or an MP4 file.");
		return undefined;
	}
}

/** Files in byte-space order: by role, then as named, then what nothing names. */
function arrange(
	source: Source,
	references: References,
	report: Report,
): PackageFile[] {
	const files: PackageFile[] = [];
	const take = (path: string) => {
		const file = source.files.get(path);
		if (file === undefined) return;
		files.push({ ...file, type: mediaType(path) });
		if (file.size === 0)
			report.fault(path, "it is empty", "Copy or package it again.");
	};
	for (const role of ROLES)
		for (const [path, own] of references.roles) if (own === role) take(path);
	for (const { path, size } of source.files.values()) {
		if (references.roles.has(path)) continue;
		if (size > 0 || references.roles.size === 0) take(path);
		else
			report.warn(
				path,
				"it is empty and nothing names it; it is left out",
				"Remove it.",
			);
	}
	return files;
}

async function inspectMovie(
	source: Source,
	path: string,
	report: Report,
	signal: AbortSignal,
): Promise<number> {
	const file = await open(join(source.root, path));
	try {
		const { size } = await file.stat();
		const { duration, indexLast } = await readMovie(file, size, signal);
		if (indexLast) {
			report.warn(
				path,
				"its index lies behind the media (moov after mdat), so that it starts slowly",
				"Mend it with: ffmpeg -i in.mp4 -c copy -movflags +faststart out.mp4",
			);
		}
		if (duration === 0) {
			report.warn(
				path,
				"it does not say how long it plays",
				"Mend it with: ffmpeg -i in.mp4 -c copy -movflags +faststart out.mp4",
			);
		}
		return duration;
	} catch (error) {
		if (!(error instanceof MovieBroken)) throw error;
		report.fault(path, error.message, "Copy or package it again.");
		return 0;
	} finally {
		await file.close();
	}
}
