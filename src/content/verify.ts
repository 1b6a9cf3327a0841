import { type Geometry, leavesBytes, runBytes } from "./geometry.ts";
import { LEAF_SIZE, leafOf, shardHashOf } from "./hash.ts";

declare const verified: unique symbol;

/** Leaves of a shard that hash to what the manifest says. Only `verifyLeaves` makes them. */
export type VerifiedLeaves = Buffer & { readonly [verified]: "leaves" };
/** A block that hashes to its leaf. Only `verifyBlock` makes one, so nothing else can be stored or played. */
export type VerifiedBlock = Buffer & { readonly [verified]: "block" };

/** @param hashes the manifest's shard hashes */
export function verifyLeaves(
	geometry: Geometry,
	hashes: readonly string[],
	shard: number,
	leaves: Buffer,
): VerifiedLeaves | undefined {
	if (leaves.length !== leavesBytes(geometry, shard)) return undefined;
	if (shardHashOf(leaves) !== hashes[shard]) return undefined;
	return leaves as VerifiedLeaves;
}

export function verifyBlock(
	geometry: Geometry,
	leaves: VerifiedLeaves,
	shard: number,
	block: number,
	bytes: Buffer,
): VerifiedBlock | undefined {
	const run = { shard, first: block, count: 1 };
	if (bytes.length !== runBytes(geometry, run)) return undefined;
	const at = block * LEAF_SIZE;
	if (!leafOf(bytes).equals(leaves.subarray(at, at + LEAF_SIZE))) {
		return undefined;
	}
	return bytes as VerifiedBlock;
}
