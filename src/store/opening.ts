import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";
import { type Geometry, leavesBytes, shardBytes } from "../content/geometry.ts";
import { type VerifiedLeaves, verifyLeaves } from "../content/verify.ts";
import type { Disk } from "./disk.ts";
import { readExactly } from "./files.ts";

export interface ShardPlace {
	readonly folder: string;
	readonly index: number;
	readonly geometry: Geometry;
	/** The manifest's hashes of shards' leaves. Rejects with TITLE_UNKNOWN while there is no manifest that is whole. */
	readonly hashes: () => Promise<readonly string[]>;
	/** Told of what is lost of it. */
	readonly disk: Pick<Disk, "lost">;
}

/** The file under the shard's name is not the shard: gone, cut short, or its leaves are not the manifest's. */
export class ShardDamaged extends Error {
	override readonly name = "ShardDamaged";
}

/** A shard's file, open, with the leaves that its blocks are checked against. */
export interface OpenShard {
	readonly handle: FileHandle;
	readonly leaves: VerifiedLeaves;
}

export function partPath({ folder, index }: ShardPlace): string {
	return join(folder, `${index}.part`);
}

export function finalPath({ folder, index }: ShardPlace): string {
	return join(folder, `${index}`);
}

/** Names the shard to who counts bad spots, whatever its file is called now. */
export function spotOf(place: ShardPlace): string {
	return finalPath(place);
}

/** Opens a shard's file, a whole one to be read only. Throws ShardDamaged, and TITLE_UNKNOWN as `hashes` does. */
export async function openShard(
	place: ShardPlace,
	path: string,
): Promise<OpenShard> {
	const { geometry, index, disk } = place;
	const hashes = await place.hashes();
	const handle = await openThere(path, path === partPath(place) ? "r+" : "r");
	try {
		const length = leavesBytes(geometry, index);
		const start = shardBytes(geometry, index);
		const bytes = await readIntact(handle, length, start);
		const leaves = bytes && verifyLeaves(geometry, hashes, index, bytes);
		if (leaves !== undefined) return { handle, leaves };
		disk.lost(bytes === undefined ? "unreadable" : "changed", spotOf(place));
	} catch (error) {
		await handle.close();
		throw error;
	}
	await handle.close();
	throw new ShardDamaged(`${path} is cut short or has the wrong leaves`);
}

async function openThere(path: string, how: string): Promise<FileHandle> {
	try {
		return await open(path, how);
	} catch (error) {
		// A disk that has turned read-only still serves what it holds.
		if (systemCode(error) === "EROFS") return await open(path, "r");
		if (systemCode(error) !== "ENOENT") throw error;
		throw new ShardDamaged(`${path} is gone`, { cause: error });
	}
}

/** Undefined when the file ends before, or the medium cannot give the bytes back: they are lost, the rest is not. */
export async function readIntact(
	handle: FileHandle,
	length: Bytes,
	position: Bytes,
): Promise<Buffer | undefined> {
	try {
		return await readExactly(handle, length, position);
	} catch (error) {
		if (systemCode(error) === "EIO") return undefined;
		throw error;
	}
}
