import * as z from "zod/mini";
import { boxId, count, hex32, networkId, region, titleId } from "./ids.ts";
import { groups } from "./near.ts";
import { ranges } from "./ranges.ts";

/** How many boxes may be asked to hold one shard. */
export const MAX_RANK = 64;

/** One title's share for a box: which shards, by the box's rank for them. Rank 0 fetches from the origin. */
const placedTitle = z.object({
	id: titleId,
	ranks: z
		.array(z.object({ rank: count.check(z.maximum(MAX_RANK)), shards: ranges }))
		.check(z.maxLength(MAX_RANK + 1)),
});
export type PlacedTitle = z.output<typeof placedTitle>;

export const placementBody = z.object({
	titles: z.array(placedTitle).check(z.maxLength(100_000)),
	/** The groups that the box is in, if the operator says so. */
	near: z.optional(groups),
});
export type PlacementBody = z.output<typeof placementBody>;

/** What one box is to hold (purpose `placement`), whole; one that is not newer than the last is never applied. */
export const placement = z.object({
	network: networkId,
	box: boxId,
	region,
	epoch: count,
	/** Seconds since 1970, or one more than the last: src/wire/head.ts says which of two is newer. */
	rev: count,
	body: z.union([
		placementBody,
		/** Too large for a message: a file at the origin, `placement/<sha256>`, whose JSON is the other form. */
		z.object({
			ref: z.string().check(z.maxLength(256)),
			sha256: hex32,
			size: count,
		}),
	]),
});
export type Placement = z.output<typeof placement>;

/**
 * Which boxes are to hold each shard of one title in one region, by rank: a hint, signed (purpose `placement`).
 * `shards[i]` lists indices into `boxes`, rank 0 first.
 */
export const holderTable = z.object({
	network: networkId,
	region,
	title: titleId,
	epoch: count,
	/** As the `rev` of a placement. */
	version: count,
	boxes: z.array(boxId).check(z.maxLength(100_000)),
	shards: z
		.array(z.array(count).check(z.maxLength(MAX_RANK + 1)))
		.check(z.maxLength(1_000_000)),
});
export type HolderTable = z.output<typeof holderTable>;
