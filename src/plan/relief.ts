import type { Bytes } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";

/** A shard on disk that cannot be spared. */
export interface StandingShard {
	readonly title: TitleId;
	readonly shard: number;
	/** Bytes that it counts for: of its whole file. */
	readonly bytes: Bytes;
	/** How many boxes are to hold it before this one; Infinity of a title that is taken back, -1 while only a viewer here needs it. */
	readonly rank: number;
	readonly isWhole: boolean;
}

/**
 * Which shards to give up so that `bytes` come free, the least loss first: what nobody may watch, then what most others hold,
 * by rank, and of one rank what is not whole yet, the largest first, so that few go. Copies of rank 0, which the region's others
 * wait for, go after those, and last what is being watched.
 */
export function planRelief(
	standing: readonly StandingShard[],
	bytes: Bytes,
): readonly StandingShard[] {
	const going: StandingShard[] = [];
	let left = bytes;
	for (const shard of standing.toSorted(byLoss)) {
		if (left <= 0) break;
		going.push(shard);
		left -= shard.bytes;
	}
	return going;
}

function byLoss(a: StandingShard, b: StandingShard): number {
	if (a.rank !== b.rank) return a.rank < b.rank ? 1 : -1;
	if (a.isWhole !== b.isWhole) return a.isWhole ? 1 : -1;
	return b.bytes - a.bytes;
}
