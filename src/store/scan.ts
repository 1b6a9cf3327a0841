import { type Dirent, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../base/units.ts";
import {
	type Geometry,
	shardCount,
	shardFileBytes,
} from "../content/geometry.ts";

/** The name that a title's manifest has in its folder. */
export const MANIFEST = "manifest";

/** File systems give out space in units of so many bytes. */
const UNIT: Bytes = 4096;
/** Of a title's folder itself, and of its last shard's last unit. */
const BESIDE: Bytes = 2 * UNIT;
/** Also while it is being written. */
export function isManifest(name: string): boolean {
	return name === MANIFEST || name === `${MANIFEST}.part`;
}

/** `stat` counts blocks of so many bytes whatever the file system does. */
const STAT_BLOCK: Bytes = 512;

export interface FoundShard {
	readonly shard: number;
	/** Left unfinished: what of it is good shows only when it is read. */
	readonly isPart: boolean;
	/** Bytes taken on disk. */
	readonly bytes: Bytes;
}

/** What a title's folder holds, by names and sizes. */
export interface Scan {
	readonly geometry: Geometry;
	readonly shards: readonly FoundShard[];
	/** Bytes that the folder takes besides its shards. */
	readonly beside: Bytes;
}

/**
 * Takes stock of a title's folder and removes what is no shard of the title. It blocks: it is for the start, where nobody waits for
 * anything else, and 65,536 promises take ten times as long as what they wait for.
 * @param entries the folder's, its manifest among them
 */
export function scanFolder(
	folder: string,
	entries: readonly Dirent[],
	geometry: Geometry,
): Scan {
	const shards: FoundShard[] = [];
	const names = new Set(entries.map(({ name }) => name));
	const manifest = statSync(join(folder, MANIFEST));
	for (const entry of entries) {
		if (entry.name === MANIFEST) continue;
		const path = join(folder, entry.name);
		const found = find(path, entry, geometry);
		// A shard under its final name is whole; a leftover beside it is of no use.
		if (found && !(found.isPart && names.has(`${found.shard}`))) {
			shards.push(found);
		} else {
			rmSync(path, { recursive: true });
		}
	}
	return { geometry, shards, beside: besides(manifest.size) };
}

/** Which shard a file is by its name; undefined when it is none. */
export function shardOf(
	name: string,
): { shard: number; isPart: boolean } | undefined {
	const match = /^(0|[1-9]\d{0,6})(\.part)?$/.exec(name);
	return match === null
		? undefined
		: { shard: Number(match[1]), isPart: match[2] !== undefined };
}

/** What a title's folder takes besides its shards, by the length of its manifest. */
export function besides(manifest: Bytes): Bytes {
	return Math.ceil(manifest / UNIT) * UNIT + BESIDE;
}

function find(
	path: string,
	entry: Dirent,
	geometry: Geometry,
): FoundShard | undefined {
	const named = entry.isFile() ? shardOf(entry.name) : undefined;
	if (named === undefined) return undefined;
	const { shard, isPart } = named;
	if (shard >= shardCount(geometry)) return undefined;
	const stats = statSync(path);
	const bytes = isPart ? stats.blocks * STAT_BLOCK : stats.size;
	if (!isPart && bytes !== shardFileBytes(geometry, shard)) return undefined;
	return { shard, isPart, bytes };
}
