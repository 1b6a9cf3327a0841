import type { Dirent, Stats } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../base/units.ts";
import { type Geometry, shardFileBytes } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";

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
	/** Bytes that the folder takes besides its shards. */
	readonly beside: Bytes;
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
	const manifest = await stat(join(folder, MANIFEST));
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

async function find(
	path: string,
	entry: Dirent,
	geometry: Geometry,
	hashes: readonly string[],
): Promise<FoundShard | undefined> {
	const named = entry.isFile() ? shardOf(entry.name) : undefined;
	if (named === undefined) return undefined;
	const { shard, isPart } = named;
	const hash = hashes[shard];
	if (hash === undefined) return undefined;
	const stats: Stats = await stat(path);
	const bytes = isPart ? stats.blocks * STAT_BLOCK : stats.size;
	if (!isPart && bytes !== shardFileBytes(geometry, shard)) return undefined;
	return { shard, hash, isPart, bytes };
}
