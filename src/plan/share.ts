import type { Bytes } from "../base/units.ts";

/**
 * Divides `demand` over takers in proportion to their weights, none above its limit (water-filling: whoever is full
 * leaves the rest to the others). Gives each taker's share; together the demand, or all limits when those are less.
 */
export function fairShares(
	demand: Bytes,
	weights: Float64Array,
	limits: Float64Array,
): Float64Array {
	const shares = new Float64Array(weights.length);
	const at = (list: Float64Array, i: number) => list[i] ?? 0;
	const fullAt = (i: number) => at(limits, i) / at(weights, i);
	const takers = Array.from(weights.keys())
		.filter((i) => at(weights, i) > 0)
		.sort((a, b) => fullAt(a) - fullAt(b));
	let left = demand;
	let weight = takers.reduce((sum, i) => sum + at(weights, i), 0);
	// Those that fill up first come first, so each decision is final.
	for (const i of takers) {
		const share = Math.min(at(limits, i), (left * at(weights, i)) / weight);
		shares[i] = share;
		left -= share;
		weight -= at(weights, i);
	}
	return shares;
}
