import type { Dirent } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import {
	blocksIn,
	leavesBytes,
	runBytes,
	shardBytes,
	shardFileBytes,
} from "../../../src/content/geometry.ts";
import type { Manifest } from "../../../src/content/manifest.ts";
import { verifyBlock, verifyLeaves } from "../../../src/content/verify.ts";
import type { Film } from "../desk.ts";

/** A shard as it lies on the disk, by reading every byte of it. */
export interface Lying {
	/** The same as long as it is the same file, under whatever name. */
	readonly file: string;
	/** Under its final name, which says that it is whole. */
	readonly isNamed: boolean;
	/** Its blocks that match their leaves, which match the manifest. */
	readonly good: ReadonlySet<number>;
	readonly isWhole: boolean;
}

/** By film and shard: `<title id>/<shard>`. What is not there has no entry. */
export type Truth = ReadonlyMap<string, Lying>;

/** All that there is of these films in a data folder. */
export interface Found {
	readonly truth: Truth;
	/** Shards that somebody brought and that are still in the inbox. */
	readonly inbox: ReadonlySet<string>;
}

export async function findAll(
	data: string,
	films: readonly Film[],
): Promise<Found> {
	const inbox = new Set<string>();
	for (const { id } of films)
		for (const name of await namesIn(join(data, "inbox", id)))
			if (/^\d+$/.test(name)) inbox.add(`${id}/${name}`);
	return { truth: await readTruth(data, films), inbox };
}

/** What lies in a store of these films. */
export async function readTruth(
	data: string,
	films: readonly Film[],
): Promise<Truth> {
	const truth = new Map<string, Lying>();
	for (const { id, manifest } of films) {
		const folder = join(data, "shards", id);
		for (const name of await namesIn(folder)) {
			const [, shard, part] = /^(\d+)(\.part)?$/.exec(name) ?? [];
			if (shard === undefined) continue;
			const key = `${id}/${shard}`;
			// A leftover beside the whole shard is of no use.
			if (part !== undefined && truth.get(key)?.isNamed) continue;
			const found = await readWhole(join(folder, name)).catch(unlessGone);
			if (found === undefined) continue;
			const { file, bytes } = found;
			const good = goodIn(bytes, manifest, Number(shard));
			truth.set(key, {
				file,
				isNamed: part === undefined,
				good,
				isWhole:
					good.size === blocksIn(manifest, Number(shard)) &&
					bytes.length === shardFileBytes(manifest, Number(shard)),
			});
		}
	}
	return truth;
}

/** An inode's number is given again to the next file, and then it is born later. */
async function readWhole(path: string) {
	await using handle = await open(path, "r");
	const { ino, birthtimeNs } = await handle.stat({ bigint: true });
	return { file: `${ino} ${birthtimeNs}`, bytes: await handle.readFile() };
}

function goodIn(bytes: Buffer, manifest: Manifest, shard: number): Set<number> {
	const good = new Set<number>();
	const start = shardBytes(manifest, shard);
	const end = start + leavesBytes(manifest, shard);
	const tail = bytes.subarray(start, end);
	const leaves = verifyLeaves(manifest, manifest.shards, shard, tail);
	if (leaves === undefined) return good;
	for (let block = 0; block < blocksIn(manifest, shard); block++) {
		const at = block * manifest.blockSize;
		const length = runBytes(manifest, { shard, first: block, count: 1 });
		const part = bytes.subarray(at, at + length);
		if (verifyBlock(manifest, leaves, shard, block, part)) good.add(block);
	}
	return good;
}

/** What an agent's data folder may hold besides shards, by path: its own records, one of which may be about to be replaced. */
const RECORDS = [
	/^catalog(\/|$)/,
	/^control\/[a-z-]+\.json(\.part)?$/,
	/^holders\/[0-9a-f]{64}(\.part)?$/,
	/^keys\/[0-9a-f]{64}(\.part)?$/,
	/^known-nodes\.json(\.part)?$/,
];

/** Files of a data folder that are no shard or manifest of these films, and no record; before a start, or after it. */
export async function strangeIn(
	data: string,
	films: readonly Film[],
	when: "killed" | "repaired",
): Promise<string[]> {
	const entries = await readdir(data, { recursive: true, withFileTypes: true });
	const paths = entries
		.filter((entry) => !entry.isDirectory())
		.map((entry) => pathOf(data, entry));
	const there = new Set(paths);
	return paths.filter((path) => {
		if (RECORDS.some((record) => record.test(path))) return false;
		const [, place, id, name = ""] =
			/^(shards|inbox)\/([^/]+)\/(.+)$/.exec(path) ?? [];
		const film = films.find((each) => each.id === id);
		if (film === undefined) return true;
		if (name === "manifest") return false;
		if (name === "manifest.part") return when === "repaired";
		const [, shard, part] = /^(\d+)(\.part)?$/.exec(name) ?? [];
		if (shard === undefined || Number(shard) >= film.shards) return true;
		if (part === undefined) return false;
		if (place === "inbox") return true;
		return when === "repaired" && there.has(`shards/${id}/${shard}`);
	});
}

function pathOf(root: string, entry: Dirent): string {
	return join(relative(root, entry.parentPath), entry.name);
}

/** None when the folder is not there. */
export async function namesIn(folder: string): Promise<string[]> {
	return (await readdir(folder).catch(unlessGone)) ?? [];
}

function unlessGone(error: NodeJS.ErrnoException): undefined {
	if (error.code === "ENOENT") return undefined;
	throw error;
}
