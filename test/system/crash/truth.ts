import type { Dirent } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Millis } from "../../../src/base/units.ts";
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
	/** Under its final name, which says that it is whole. */
	readonly isNamed: boolean;
	/** Its blocks that match their leaves, which match the manifest. */
	readonly good: ReadonlySet<number>;
	readonly isWhole: boolean;
}

/** By film and shard: `<title id>/<shard>`. What is not there has no entry. */
export type Truth = ReadonlyMap<string, Lying>;

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
			const bytes = await readFile(join(folder, name)).catch(unlessGone);
			if (bytes === undefined) continue;
			const good = goodIn(bytes, manifest, Number(shard));
			truth.set(key, {
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

/** For a person. */
function describeTruth(truth: Truth, all: number): string {
	const lying = [...truth.values()];
	const whole = lying.filter(({ isWhole, isNamed }) => isWhole && isNamed);
	const begun = lying.length - whole.length;
	const blocks = lying.reduce((sum, each) => sum + each.good.size, 0);
	return `${whole.length} of ${all} shards whole, ${begun} begun, ${blocks} good blocks`;
}

/** What is known of a point when its box is dead. */
export interface Killed {
	/** Milliseconds since it was started. */
	readonly at: Millis;
	/** Whether a call came at which it was to be killed. */
	readonly isMet: boolean;
	readonly truth: Truth;
}

/** For a person. */
export function tell({ at, isMet, truth }: Killed, shards: number): string {
	return `killed${isMet ? "" : " from outside"} at ${Math.round(at)} ms, on the disk ${describeTruth(truth, shards)}`;
}
