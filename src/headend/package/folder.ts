import { createHash } from "node:crypto";
import type { Dirent, Stats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { systemCode } from "../../base/errors.ts";
import type { Bytes } from "../../base/units.ts";
import { isInside } from "../../content/path.ts";
import type { Report } from "./report.ts";

/** A file of a source, as it was when the source was looked through. */
export interface SourceFile {
	/** Below the source, with `/`. */
	readonly path: string;
	readonly size: Bytes;
	readonly mtimeMs: number;
	readonly ctimeMs: number;
	readonly inode: number;
}

/** A folder, or one file standing for a folder with just that file. */
export interface Source {
	/** Real, absolute path of the folder that the files' paths start from. */
	readonly root: string;
	/** What a person calls it: the name of the folder or file, without extension. */
	readonly name: string;
	/** It is one file, not a folder. */
	readonly alone: boolean;
	/** In path order. */
	readonly files: ReadonlyMap<string, SourceFile>;
	/** Hidden and half-copied files: of no title, but a sign that somebody is still at work. */
	readonly clutter: readonly SourceFile[];
}

const PARTIAL = /(\.(part|partial|tmp|temp|crdownload|filepart|swp)|~)$/i;
const CLUTTER = new Set(["thumbs.db", "desktop.ini", "__macosx"]);

/** Whether a name is of no title: hidden, half-copied, or left there by a file manager. */
export function isClutter(name: string): boolean {
	return (
		name.startsWith(".") ||
		PARTIAL.test(name) ||
		CLUTTER.has(name.toLowerCase())
	);
}

/**
 * Lists the files of a folder, or the one file. Links are followed when they stay inside.
 * What cannot be part of a title goes to the report. Throws what the file system throws, `ENOENT` too.
 */
export async function survey(
	path: string,
	report: Report,
	signal: AbortSignal,
): Promise<Source> {
	const real = await realpath(path);
	const info = await stat(real);
	if (!info.isDirectory()) {
		const file = sourceFile(basename(real), info);
		return {
			root: dirname(real),
			name: stem(basename(path)),
			alone: true,
			files: new Map([[file.path, file]]),
			clutter: [],
		};
	}
	const files = new Map<string, SourceFile>();
	const clutter: SourceFile[] = [];
	const walk = async (folder: string): Promise<void> => {
		signal.throwIfAborted();
		const entries = await readdir(join(real, folder), { withFileTypes: true });
		entries.sort((a, b) => (a.name < b.name ? -1 : 1));
		for (const entry of entries) {
			const below = folder === "" ? entry.name : `${folder}/${entry.name}`;
			const aside = isClutter(entry.name);
			if (entry.isDirectory()) {
				if (!aside) await walk(below);
				continue;
			}
			const file = await look(real, below, entry, aside ? undefined : report);
			if (file === undefined) continue;
			if (aside) clutter.push(file);
			else files.set(below, file);
		}
	};
	await walk("");
	return { root: real, name: basename(path), alone: false, files, clutter };
}

/** Tells whether a source has changed: over every file's path, size and time of change, but not where it lies. */
export function fingerprintOf(source: Source): string {
	const hash = createHash("sha256");
	for (const { path, size, mtimeMs } of source.files.values())
		hash.update(`${JSON.stringify([path, size, mtimeMs])}\n`);
	return hash.digest("hex");
}

/** Everything that tells whether somebody is still at work, half-copied files too. */
export function lookOf(source: Source): string {
	const clutter = source.clutter.map(({ path, size, mtimeMs }) => [
		path,
		size,
		mtimeMs,
	]);
	return `${fingerprintOf(source)} ${JSON.stringify(clutter)}`;
}

/** Stricter than a fingerprint: also sees a file that was replaced, or rewritten with its old time put back. */
export function sameFile(a: SourceFile, b: SourceFile): boolean {
	return (
		a.path === b.path &&
		a.size === b.size &&
		a.mtimeMs === b.mtimeMs &&
		a.ctimeMs === b.ctimeMs &&
		a.inode === b.inode
	);
}

export function sourceFile(path: string, info: Stats): SourceFile {
	return {
		path,
		size: info.size,
		mtimeMs: info.mtimeMs,
		ctimeMs: info.ctimeMs,
		inode: info.ino,
	};
}

async function look(
	root: string,
	path: string,
	entry: Dirent,
	report: Report | undefined,
): Promise<SourceFile | undefined> {
	if (!isInside(path) || path.includes("\uFFFD") || path.length > 1024) {
		report?.fault(
			path,
			"its name is too long or holds characters that a title's path cannot have",
			"Rename the file and whatever refers to it.",
		);
		return undefined;
	}
	try {
		const full = join(root, path);
		if (entry.isFile()) return sourceFile(path, await lstat(full));
		const info = await stat(full);
		const target = relative(root, await realpath(full));
		if (target === ".." || target.startsWith(`..${sep}`)) {
			report?.fault(
				path,
				"it is a link that leads out of the folder",
				"Put the file itself there.",
			);
		} else if (info.isFile()) {
			return sourceFile(path, info);
		} else {
			report?.fault(
				path,
				"it is not a regular file",
				"Put the files themselves there.",
			);
		}
	} catch (error) {
		const code = systemCode(error);
		if (code !== "ENOENT" && code !== "ELOOP") throw error;
		report?.fault(path, "it cannot be found", "Put the file itself there.");
	}
	return undefined;
}

function stem(name: string): string {
	const dot = name.lastIndexOf(".");
	return dot > 0 ? name.slice(0, dot) : name;
}
