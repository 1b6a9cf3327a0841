import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { titleIdOf } from "../content/hash.ts";
import { type Manifest, readManifest } from "../content/manifest.ts";
import type { TitleId } from "../wire/ids.ts";
import { makeFolder, syncFolder, writeWhole } from "./files.ts";
import { MANIFEST } from "./scan.ts";

/** Parsed manifests kept in memory; a large one is a megabyte. */
const KEPT = 16;

/**
 * Manifests on disk, `<folder>/<title id>/manifest`.
 * Invariant: a file whose hash is its title's id was checked against the schema before it was written.
 */
export class Manifests {
	private readonly folder: string;
	private readonly log: Log;
	/** Least recently used first. */
	private readonly parsed = new Map<TitleId, Manifest>();

	constructor(folder: string, log: Log) {
		this.folder = folder;
		this.log = log;
	}

	/** Undefined when there is none, or a damaged one. */
	async get(id: TitleId): Promise<Manifest | undefined> {
		const kept = this.parsed.get(id);
		if (kept !== undefined) return this.keep(id, kept);
		const bytes = await this.bytes(id);
		if (bytes === undefined) return undefined;
		// Checking the schema anew would cost five times as much, for every title at every start.
		return this.keep(id, JSON.parse(bytes.toString("utf8")) as Manifest);
	}

	/**
	 * Its exact bytes, for neighbours. Undefined when there is none, or a damaged one, which stays until another is written over it:
	 * a folder without any is taken for one that is being removed.
	 */
	async bytes(id: TitleId): Promise<Buffer | undefined> {
		const bytes = await this.read(id);
		if (bytes === undefined || titleIdOf(bytes) === id) return bytes;
		this.log.warn({ title: id }, "a manifest on disk is damaged");
		return undefined;
	}

	/** Checks bytes from anywhere against the id and keeps them. Throws MANIFEST_INVALID. */
	async put(id: TitleId, bytes: Uint8Array): Promise<Manifest> {
		const read = readManifest(id, bytes);
		if (!read.ok) {
			throw new LarderError(
				"MANIFEST_INVALID",
				`${read.reason} ${read.detail}`,
			);
		}
		await makeFolder(dirname(this.path(id)));
		await writeWhole(this.path(id), bytes);
		await syncFolder(this.folder);
		return this.keep(id, read.value);
	}

	forget(id: TitleId): void {
		this.parsed.delete(id);
	}

	private async read(id: TitleId): Promise<Buffer | undefined> {
		try {
			return await readFile(this.path(id));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			throw error;
		}
	}

	private keep(id: TitleId, manifest: Manifest): Manifest {
		this.parsed.delete(id);
		this.parsed.set(id, manifest);
		for (const oldest of this.parsed.keys()) {
			if (this.parsed.size <= KEPT) break;
			this.parsed.delete(oldest);
		}
		return manifest;
	}

	private path(id: TitleId): string {
		return join(this.folder, id, MANIFEST);
	}
}
