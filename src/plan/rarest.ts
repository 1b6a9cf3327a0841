import { mix } from "./draw.ts";

/** Somebody who has some blocks of a shard. */
export interface Having {
	readonly blocks: { has(block: number): boolean };
}

/** Blocks this close together stay together where they are as rare: one request brings them. */
const TOGETHER = 4;

/**
 * Puts blocks that few neighbours have in front, so that what only one can give is spread while it has time for it, and everybody
 * soon has something that others lack. (B. Cohen, "Incentives Build Robustness in BitTorrent", 2003: local rarest first.) Of those that are as rare
 * each box takes others first; what nobody has stays in a row, as one request to the origin brings it.
 * @param seed 32 bits, another one for each box
 */
export function rarestFirst<Wanted extends { readonly block: number }>(
	wanted: Iterable<Wanted>,
	neighbours: readonly Having[],
	seed: number,
): Wanted[] {
	const keyed = Array.from(wanted, (one) => {
		const { block } = one;
		let holders = 0;
		for (const { blocks } of neighbours) if (blocks.has(block)) holders++;
		const run = Math.floor(block / TOGETHER);
		return { one, holders, draw: holders === 0 ? 0 : mix(seed, run) };
	});
	return keyed
		.sort(
			(a, b) =>
				a.holders - b.holders || a.draw - b.draw || a.one.block - b.one.block,
		)
		.map(({ one }) => one);
}
