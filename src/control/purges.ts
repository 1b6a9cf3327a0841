import { DAY } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Bans } from "../wire/head.ts";
import type { TitleId } from "../wire/ids.ts";

/** How many titles an online key may take back in a day (UTC); more need the root's word. */
export const PURGES_A_DAY = 20;
/** A title that is taken back is hidden at once; its bytes go after so long, unless it was countermanded. */
export const COUNTERMAND: Millis = DAY;

/** When this box learned of each title that is taken back. */
export type Purged = ReadonlyMap<TitleId, Millis>;

export interface PurgeJudgement {
	readonly purged: Purged;
	/** Ordered, and more than the key may: left alone until the root vouches for them. */
	readonly excess: readonly TitleId[];
}

/**
 * Which purges are obeyed. A box that never heard of any obeys all: it has nothing to lose. Later ones must be dated
 * after the statement before, since they would have stood in it, and fit into their day.
 * @param known what was obeyed so far; what is no longer ordered is countermanded
 * @param before the statement that this one follows
 * @param vouched titles that the root itself takes back
 */
export function judgePurges(
	known: Purged,
	bans: Bans,
	before: Pick<Bans, "issuedAt"> | undefined,
	vouched: ReadonlySet<TitleId>,
	now: Millis,
): PurgeJudgement {
	const purged = new Map<TitleId, Millis>();
	const excess: TitleId[] = [];
	const days = new Map<number, number>();
	const fits = (at: Millis) => {
		const day = Math.floor(at / DAY);
		const count = (days.get(day) ?? 0) + 1;
		days.set(day, count);
		return count <= PURGES_A_DAY;
	};
	for (const { title, at } of bans.purged) {
		const since = known.get(title);
		if (since !== undefined) {
			purged.set(title, since);
			if (!vouched.has(title)) fits(at);
		} else if (
			vouched.has(title) ||
			before === undefined ||
			(at >= before.issuedAt && fits(at))
		)
			purged.set(title, now);
		else excess.push(title);
	}
	return { purged, excess };
}
