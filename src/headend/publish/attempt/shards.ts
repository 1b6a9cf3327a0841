import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../../base/errors.ts";
import { type Bytes, MiB } from "../../../base/units.ts";
import { applyCipher, type TitleCipher } from "../../../content/cipher.ts";
import {
	blockOffset,
	blocksIn,
	type Geometry,
	leavesBytes,
	runBytes,
	shardBytes,
	shardFileBytes,
} from "../../../content/geometry.ts";
import { LEAF_SIZE, leafOf, shardHashOf } from "../../../content/hash.ts";
import { PUBLIC } from "../../operator/file.ts";
import type { SpaceReader } from "./reader.ts";

/** Bytes that are read, encrypted and written at a time; it bounds the memory of a publish. */
const BATCH: Bytes = MiB;

/**
 * Writes the file of one shard into `dir`: encrypted blocks, then their leaves. It gets its name when it is complete and on disk.
 * @param onBytes told how many bytes of plaintext were done since the last call
 * @returns the shard's hash
 */
export async function writeShard(
	dir: string,
	geometry: Geometry,
	shard: number,
	cipher: TitleCipher,
	reader: SpaceReader,
	onBytes: (bytes: Bytes) => void,
	signal: AbortSignal,
): Promise<string> {
	const path = join(dir, `${shard}`);
	const leaves = Buffer.alloc(leavesBytes(geometry, shard));
	const file = await open(`${path}.part`, "w");
	try {
		// Whatever the umask: the server of the origin may be another user.
		await file.chmod(PUBLIC);
		for (const { first, count, bytes } of batches(geometry, shard)) {
			signal.throwIfAborted();
			const offset = blockOffset(geometry, shard, first);
			const plain = Buffer.allocUnsafe(bytes);
			await reader.fill(offset, plain);
			const sealed = applyCipher(cipher, offset, plain);
			hashBlocks(geometry, sealed, first, count, leaves);
			await file.writeFile(sealed);
			onBytes(bytes);
		}
		await file.writeFile(leaves);
		await file.sync();
	} finally {
		await file.close();
	}
	await rename(`${path}.part`, path);
	return shardHashOf(leaves);
}

/** The hash of a shard file that is there, complete and sound; undefined otherwise. An unsound one is removed. */
export async function checkShard(
	dir: string,
	geometry: Geometry,
	shard: number,
	signal: AbortSignal,
): Promise<string | undefined> {
	const path = join(dir, `${shard}`);
	let file: FileHandle;
	try {
		file = await open(path, "r");
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
	try {
		const hash = await hashFile(file, geometry, shard, signal);
		if (hash === undefined) await rm(path);
		return hash;
	} finally {
		await file.close();
	}
}

async function hashFile(
	file: FileHandle,
	geometry: Geometry,
	shard: number,
	signal: AbortSignal,
): Promise<string | undefined> {
	const { size } = await file.stat();
	if (size !== shardFileBytes(geometry, shard)) return undefined;
	const leaves = Buffer.alloc(leavesBytes(geometry, shard));
	for (const { first, count, bytes } of batches(geometry, shard)) {
		signal.throwIfAborted();
		const sealed = Buffer.allocUnsafe(bytes);
		await file.read(sealed, 0, bytes, first * geometry.blockSize);
		hashBlocks(geometry, sealed, first, count, leaves);
	}
	const stored = Buffer.alloc(leaves.length);
	await file.read(stored, 0, stored.length, shardBytes(geometry, shard));
	return stored.equals(leaves) ? shardHashOf(leaves) : undefined;
}

function hashBlocks(
	{ blockSize }: Geometry,
	sealed: Buffer,
	first: number,
	count: number,
	leaves: Buffer,
): void {
	for (let i = 0; i < count; i++) {
		const block = sealed.subarray(i * blockSize, (i + 1) * blockSize);
		leafOf(block).copy(leaves, (first + i) * LEAF_SIZE);
	}
}

function* batches(geometry: Geometry, shard: number) {
	const step = Math.max(1, Math.floor(BATCH / geometry.blockSize));
	const blocks = blocksIn(geometry, shard);
	for (let first = 0; first < blocks; first += step) {
		const count = Math.min(step, blocks - first);
		yield { first, count, bytes: runBytes(geometry, { shard, first, count }) };
	}
}
