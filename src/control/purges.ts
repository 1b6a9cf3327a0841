import { DAY } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Bans } from "../wire/head.ts";
import type { TitleId } from "../wire/ids.ts";

/** How many titles an online key may take back in a day (UTC); more need the root's word. */
export const PURGES_A_DAY = 20;
/**
 * A title that is taken back is hidden at once; its bytes go when the box has run for so long, unless it was countermanded. No
 * word about the time makes that shorter.
 */
export const COUNTERMAND: Millis = DAY;

/** An order that this box obeys. */
export interface Obeyed {
	/** When it was given, as this box heard it first: whoever signs later statements may date it otherwise. */
	readonly at: Millis;
	/** How long this box had run when it learned of it. */
	readonly since: Millis;
}

/** The titles that are taken back. */
export type Purged = ReadonlyMap<TitleId, Obeyed>;

/** As of when purges are judged. */
export interface Judging {
	/** All that was dated before stood in the statement before; undefined for a box that never heard any. */
	readonly after: Millis | undefined;
	/** It is surely that late: days that may not have come yet count as one. */
	readonly come: Millis;
	/** How long this box has run. */
	readonly ran: Millis;
}

export interface PurgeJudgement {
	readonly purged: Purged;
	/** Ordered, and more than the key may: left alone until the root vouches for them. */
	readonly excess: readonly TitleId[];
}

/**
 * Which purges are obeyed. A box that never heard of any obeys all: it has nothing to lose. New ones must be dated between
 * the statement before and this one, whose version is its date, and fit into their day beside those that are known.
 * @param known what was obeyed so far; what is no longer ordered is countermanded
 * @param vouched titles that the root itself takes back
 */
export function judgePurges(
	known: Purged,
	{ version, purged: ordered }: Pick<Bans, "version" | "purged">,
	{ after, come, ran }: Judging,
	vouched: ReadonlySet<TitleId>,
): PurgeJudgement {
	const purged = new Map<TitleId, Obeyed>();
	const excess: TitleId[] = [];
	const days = new Map<number, number>();
	const fits = (at: Millis) => {
		const day = at > come ? Number.POSITIVE_INFINITY : Math.floor(at / DAY);
		const count = (days.get(day) ?? 0) + 1;
		days.set(day, count);
		return count <= PURGES_A_DAY;
	};
	// First, and by the date that they had: in its place nothing else fits.
	for (const { title } of ordered) {
		const obeyed = known.get(title);
		if (obeyed === undefined || purged.has(title)) continue;
		purged.set(title, obeyed);
		if (!vouched.has(title)) fits(obeyed.at);
	}
	for (const { title, at } of ordered) {
		if (purged.has(title)) continue;
		if (
			vouched.has(title) ||
			after === undefined ||
			(at >= after && at <= version && fits(at))
		)
			purged.set(title, { at, since: ran });
		else excess.push(title);
	}
	return { purged, excess };
}
