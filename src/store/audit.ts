import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import type { Contents } from "./contents.ts";
import { sizeIfThere, unlinkIfThere } from "./files.ts";
import { finalPath, partPath, type ShardPlace } from "./opening.ts";
import { isManifest, MANIFEST, shardOf } from "./scan.ts";

export interface AuditPorts {
	readonly folder: string;
	readonly titles: ReadonlyMap<
		TitleId,
		{ audit(names: readonly string[]): Promise<number> }
	>;
	/** A folder that no title is known of. */
	readonly takeUp: (id: TitleId) => Promise<void>;
	readonly remove: (id: TitleId) => Promise<void>;
	readonly signal: AbortSignal;
}

/** Compares all titles with their folders, one after the other, by names and sizes. Gives how much was mended. */
export async function auditStore(ports: AuditPorts): Promise<number> {
	const { folder, titles, takeUp, remove, signal } = ports;
	let mended = 0;
	for (const name of await readdir(folder)) {
		if (isTitleId(name) && !titles.has(name)) await takeUp(name);
	}
	for (const [id, title] of titles) {
		if (signal.aborted) break;
		const names = await namesIn(join(folder, id));
		// It may have gone meanwhile.
		if (titles.get(id) !== title) continue;
		if (names.includes(MANIFEST)) mended += await title.audit(names);
		else {
			// As at the start: without it nobody knows what its shards are.
			await remove(id);
			mended++;
		}
	}
	return mended;
}

export interface TitleAuditPorts {
	readonly folder: string;
	readonly contents: Contents;
	readonly placeOf: (shard: number) => ShardPlace;
	/** Runs while nothing else changes where the shard belongs. */
	readonly inTurn: (
		shard: number,
		work: () => Promise<number>,
	) => Promise<number>;
	/** Drops what is believed of a shard, and its files. */
	readonly drop: (shard: number) => Promise<void>;
}

/** Compares one title with its folder; gives how much was mended. What has not been read through yet is left to that. */
export async function auditTitle(
	names: readonly string[],
	{ folder, contents, placeOf, inTurn, drop }: TitleAuditPorts,
): Promise<number> {
	const { shards, strange } = await clearStrange(folder, names);
	let mended = strange;
	for (const shard of new Set([...contents.all, ...shards])) {
		mended += await inTurn(shard, async () => {
			if (contents.unchecked.has(shard)) return 0;
			const size = contents.has(shard) ? contents.sizeOf(shard) : undefined;
			const isWhole = contents.held.has(shard);
			const found = await compareFiles(placeOf(shard), size, isWhole);
			if (found === "other") await drop(shard);
			return found === "same" ? 0 : 1;
		});
	}
	return mended;
}

/** Removes what is no shard by its name. Gives the shards named, and how much was removed. */
async function clearStrange(
	folder: string,
	names: readonly string[],
): Promise<{ shards: readonly number[]; strange: number }> {
	const shards: number[] = [];
	let strange = 0;
	for (const name of names) {
		const shard = shardOf(name)?.shard;
		if (shard !== undefined) shards.push(shard);
		else if (!isManifest(name)) {
			await rm(join(folder, name), { recursive: true, force: true });
			strange++;
		}
	}
	return { shards, strange };
}

/**
 * Compares a shard's files with what is believed of it. A file of no use beside a whole shard is removed, which is `beside`.
 * @param size of its file; undefined when it is not here
 */
async function compareFiles(
	place: ShardPlace,
	size: Bytes | undefined,
	isWhole: boolean,
): Promise<"same" | "beside" | "other"> {
	const whole = await sizeIfThere(finalPath(place));
	const part = await sizeIfThere(partPath(place));
	if (!isWhole) return whole === undefined && part === size ? "same" : "other";
	if (whole !== size) return "other";
	if (part === undefined) return "same";
	await unlinkIfThere(partPath(place));
	return "beside";
}

/** None when the folder is gone. */
async function namesIn(folder: string): Promise<readonly string[]> {
	try {
		return await readdir(folder);
	} catch (error) {
		if (systemCode(error) === "ENOENT") return [];
		throw error;
	}
}
