import { posix } from "node:path";
import type { Bytes } from "../../base/units.ts";
import { isElsewhere, resolve } from "../../content/path.ts";
import { isClutter, type Source } from "./folder.ts";
import type { Report } from "./report.ts";

/** What a file is to a player, in the order of the byte space. */
export const ROLES = ["playlist", "init", "media", "other"] as const;
export type Role = (typeof ROLES)[number];

/** Bytes of a file that a playlist names. */
export interface ByteRange {
	readonly offset: Bytes;
	readonly length: Bytes;
}

/** A file as a playlist or manifest names it. */
export interface Reference {
	/** A URI reference, as written, relative to the file that it stands in. */
	readonly uri: string;
	readonly role: Role;
	/** The bytes that are named; all of them when left out. */
	readonly range?: ByteRange | undefined;
	/** Nobody is to be blamed when the file is not there. */
	readonly optional?: boolean;
}

/**
 * The files that playlists and manifests name, in the order in which they name them.
 * Invariant: every key is a file of the source. A file keeps its place; `media` outranks `init`, since one file may be both.
 */
export class References {
	readonly roles = new Map<string, Role>();
	private readonly source: Source;
	private readonly report: Report;

	constructor(source: Source, report: Report) {
		this.source = source;
		this.report = report;
	}

	/** Adds what file `from` names and gives its path. Undefined, with a fault in the report, when the source has no such file. */
	add(
		from: string,
		{ uri, role, range, optional }: Reference,
	): string | undefined {
		const { report } = this;
		const named = uri.length > 120 ? `${uri.slice(0, 117)}...` : uri;
		if (isElsewhere(uri)) {
			report.fault(
				from,
				`it names ${named}, which is no file of the folder`,
				"Put the file into the folder and name it by a relative path.",
			);
			return undefined;
		}
		const path = resolve(from, uri);
		if (path === undefined) {
			report.fault(
				from,
				`it names ${named}, which lies outside the folder`,
				"Name files inside the folder, by relative paths.",
			);
			return undefined;
		}
		const file = this.source.files.get(path);
		if (file === undefined) {
			if (optional !== true) this.blame(from, path);
			return undefined;
		}
		if (range !== undefined && range.offset + range.length > file.size) {
			report.fault(
				path,
				`it has ${file.size} bytes, but ${from} names bytes up to ${range.offset + range.length}`,
				"Copy or package it again.",
			);
		}
		const known = this.roles.get(path);
		if (known === undefined || (known === "init" && role === "media"))
			this.roles.set(path, role);
		return path;
	}

	private blame(from: string, path: string): void {
		if (isClutter(posix.basename(path))) {
			this.report.fault(
				path,
				`it is named by ${from}, but has the name of a hidden or half-copied file`,
				"Rename it.",
			);
		} else {
			this.report.fault(
				path,
				`it is named by ${from} but is not there`,
				"Put it there, or take the reference out.",
			);
		}
	}
}
