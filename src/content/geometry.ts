import type { Bytes } from "../base/units.ts";
import { LEAF_SIZE } from "./hash.ts";

export const DEFAULT_BLOCK_SIZE: Bytes = 64 * 1024;
export const DEFAULT_SHARD_BLOCKS = 256;
export const MAX_SHARD_BLOCKS = 4096;

/** How a byte space of `size` bytes is cut. The last shard and the last block may be short. */
export interface Geometry {
	readonly size: Bytes;
	/** Bytes of a block; a power of two. */
	readonly blockSize: Bytes;
	/** Blocks of a shard; a power of two. */
	readonly shardBlocks: number;
}

/** A run of blocks of one shard. */
export interface BlockRun {
	readonly shard: number;
	readonly first: number;
	readonly count: number;
}

export function shardSize({ blockSize, shardBlocks }: Geometry): Bytes {
	return blockSize * shardBlocks;
}

export function shardCount(geometry: Geometry): number {
	return Math.ceil(geometry.size / shardSize(geometry));
}

/** Bytes of blocks in one shard, without its leaves. */
export function shardBytes(geometry: Geometry, shard: number): Bytes {
	const full = shardSize(geometry);
	return Math.min(full, geometry.size - shard * full);
}

export function blocksIn(geometry: Geometry, shard: number): number {
	return Math.ceil(shardBytes(geometry, shard) / geometry.blockSize);
}

export function leavesBytes(geometry: Geometry, shard: number): Bytes {
	return blocksIn(geometry, shard) * LEAF_SIZE;
}

/** Bytes of a shard's file: its blocks, then its leaves. */
export function shardFileBytes(geometry: Geometry, shard: number): Bytes {
	return shardBytes(geometry, shard) + leavesBytes(geometry, shard);
}

/** Bytes of `count` blocks of a shard, from block `first` on. */
export function runBytes(
	geometry: Geometry,
	{ shard, first, count }: BlockRun,
): Bytes {
	const start = first * geometry.blockSize;
	const end = Math.min(
		(first + count) * geometry.blockSize,
		shardBytes(geometry, shard),
	);
	return Math.max(0, end - start);
}

/** Where a block's first byte lies in the byte space. */
export function blockOffset(
	geometry: Geometry,
	shard: number,
	block: number,
): Bytes {
	return shard * shardSize(geometry) + block * geometry.blockSize;
}

/** The blocks that hold bytes [offset, offset + length), shard by shard. */
export function runsOf(
	geometry: Geometry,
	offset: Bytes,
	length: Bytes,
): BlockRun[] {
	const runs: BlockRun[] = [];
	const end = Math.min(offset + length, geometry.size);
	const full = shardSize(geometry);
	for (let at = offset; at < end; ) {
		const shard = Math.floor(at / full);
		const shardEnd = Math.min(end, (shard + 1) * full);
		const first = Math.floor((at - shard * full) / geometry.blockSize);
		const last = Math.floor((shardEnd - 1 - shard * full) / geometry.blockSize);
		runs.push({ shard, first, count: last - first + 1 });
		at = shardEnd;
	}
	return runs;
}
