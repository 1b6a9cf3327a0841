import type { Rate } from "../base/units.ts";

/** Below it a box would wait so long for a block that its request ends: the budget is passed rather than nothing filled. */
const LEAST: Rate = 16 * 1024;

/**
 * What each box may take from the origin to fill itself, so that all of them together stay below the region's budget. Boxes are counted up
 * to the next power of two: the share changes only when their number has about doubled or halved, and each change is a signed head.
 * @param budget bytes a second for the whole region; 0 for no limit
 * @param filling how many boxes have something to fetch
 */
export function originShare(budget: Rate, filling: number): Rate {
	if (budget === 0) return 0;
	const boxes = 2 ** Math.ceil(Math.log2(Math.max(1, filling)));
	return Math.max(LEAST, Math.floor(budget / boxes));
}
