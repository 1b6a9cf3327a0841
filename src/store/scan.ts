import type { Dirent, Stats } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../base/units.ts";
import { type Geometry, shardFileBytes } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";

/** The name that a title's manifest has in its folder. */
export const MANIFEST = "manifest";

/** `stat` counts blocks of so many bytes whatever the file system does. */
const STAT_BLOCK: Bytes = 512;

export interface FoundShard {
	readonly shard: number;
	/** The manifest's hash of its leaves. */
	readonly hash: string;
	/** Left unfinished: what of it is good shows only when it is read. */
	readonly isPart: boolean;
	/** Bytes taken on disk. */
	readonly bytes: Bytes;
}

/** What a title's folder holds, by names and sizes. */
export interface Scan {
	readonly geometry: Geometry;
	readonly shards: readonly FoundShard[];
}

/** Takes stock of a title's folder and removes what is no shard of the title. */
export async function scanFolder(
	folder: string,
	{ size, blockSize, shardBlocks, shards: hashes }: Manifest,
): Promise<Scan> {
	const geometry = { size, blockSize, shardBlocks };
	const shards: FoundShard[] = [];
	const entries = await readdir(folder, { withFileTypes: true });
	const names = new Set(entries.map(({ name }) => name));
	for (const entry of entries) {
		if (entry.name === MANIFEST) continue;
		const path = join(folder, entry.name);
		const found = await find(path, entry, geometry, hashes);
		// A shard under its final name is whole; a leftover beside it is of no use.
		if (found && !(found.isPart && names.has(`${found.shard}`))) {
			shards.push(found);
		} else {
			await rm(path, { recursive: true });
		}
	}
	return { geometry, shards };
}

async function find(
	path: string,
	entry: Dirent,
	geometry: Geometry,
	hashes: readonly string[],
): Promise<FoundShard | undefined> {
	const match = /^(0|[1-9]\d{0,6})(\.part)?$/.exec(entry.name);
	if (match === null || !entry.isFile()) return undefined;
	const shard = Number(match[1]);
	const hash = hashes[shard];
	if (hash === undefined) return undefined;
	const stats: Stats = await stat(path);
	const isPart = match[2] !== undefined;
	const bytes = isPart ? stats.blocks * STAT_BLOCK : stats.size;
	if (!isPart && bytes !== shardFileBytes(geometry, shard)) return undefined;
	return { shard, hash, isPart, bytes };
}
