import type { TitleId } from "../wire/ids.ts";

export interface ScrubPlace {
	readonly title: TitleId;
	readonly shard: number;
}

/**
 * The held shard to be read through after another, in order of titles and shards: undefined at the end. What came or went
 * meanwhile does not matter, so that a place is all that has to be kept of a pass.
 */
export function nextToScrub(
	titles: readonly TitleId[],
	heldOf: (id: TitleId) => Iterable<number>,
	after: ScrubPlace | undefined,
): ScrubPlace | undefined {
	for (const title of titles.toSorted()) {
		if (after !== undefined && title < after.title) continue;
		const from = title === after?.title ? after.shard + 1 : 0;
		for (const shard of heldOf(title)) {
			if (shard >= from) return { title, shard };
		}
	}
	return undefined;
}
