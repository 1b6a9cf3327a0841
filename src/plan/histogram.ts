/** Seconds from a player's first request to the first picture, by which start-ups are told apart. */
export const START_BOUNDS: readonly number[] = [
	...[0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20],
];

/** How many values lie at or below each bound and above the one before; the last are above all. */
export function bucketsOf(
	values: readonly number[],
	bounds: readonly number[],
): number[] {
	const buckets = new Array<number>(bounds.length + 1).fill(0);
	for (const value of values) {
		const index = bounds.findIndex((bound) => value <= bound);
		const at = index < 0 ? bounds.length : index;
		buckets[at] = (buckets[at] ?? 0) + 1;
	}
	return buckets;
}

/**
 * The value below which a share of all lies, taken to lie evenly in its bucket; of those above all bounds, the last bound.
 * Undefined when there are none. As Prometheus' histogram_quantile does it.
 */
export function quantile(
	buckets: readonly number[],
	bounds: readonly number[],
	share: number,
): number | undefined {
	const all = buckets.reduce((sum, count) => sum + count, 0);
	if (all === 0) return undefined;
	let left = share * all;
	for (const [index, bound] of bounds.entries()) {
		const count = buckets[index] ?? 0;
		const below = bounds[index - 1] ?? 0;
		if (count > 0 && left <= count)
			return below + (bound - below) * (left / count);
		left -= count;
	}
	return bounds.at(-1);
}
