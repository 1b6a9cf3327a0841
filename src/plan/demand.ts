import { DAY, HOUR } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";

/** After so long a play counts half. */
const HALF: Millis = DAY;
/** What is asked of a title within so long is one play, whoever asks: nobody makes a title look wanted by asking often. */
const PLAY: Millis = HOUR;
/** Of a title that is not remembered: one, a week ago. Whatever is here was read once. */
const UNKNOWN = 0.5 ** 7;
/** Titles that are remembered, whether any of them is here or not. */
const MOST = 2048;

interface Plays {
	/** As of `at`, which is when a play was counted last. */
	readonly count: number;
	readonly at: Millis;
}

/**
 * How much titles are wanted: their plays, each of them worth half as much a day later.
 * Source: the combined recency and frequency of LRFU, sum of (1/2)^(λ·age) (D. Lee et al., IEEE Transactions on Computers
 * 50(12), 2001), of titles and not of shards: a title's plays tell about all of its shards, a shard's about few.
 * Invariant: `titles` has at most MOST, the one last counted last. Time is that of one monotonic clock.
 */
export class Demand {
	private readonly titles = new Map<TitleId, Plays>();

	/** Somebody asks for a title. */
	note(title: TitleId, now: Millis): void {
		const known = this.titles.get(title);
		if (known !== undefined && now - known.at < PLAY) return;
		const count = known === undefined ? 0 : faded(known, now);
		this.set(title, { count: count + 1, at: now });
	}

	/** Its plays as they count now. */
	of(title: TitleId, now: Millis): number {
		const known = this.titles.get(title);
		return known === undefined ? UNKNOWN : faded(known, now);
	}

	private set(title: TitleId, plays: Plays): void {
		this.titles.delete(title);
		this.titles.set(title, plays);
		for (const oldest of this.titles.keys()) {
			if (this.titles.size <= MOST) break;
			this.titles.delete(oldest);
		}
	}
}

function faded({ count, at }: Plays, now: Millis): number {
	return count * 0.5 ** ((now - at) / HALF);
}
