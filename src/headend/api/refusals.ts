import type { Log } from "../../base/log.ts";
import { type Clock, MINUTE } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";

/** Why somebody was turned away: no token, a wrong one, one that allows less, or another site behind the browser. */
export type Reason = "no-token" | "wrong-token" | "role" | "foreign";

/** In a minute. */
const MOST = 10;

/**
 * Counts who is turned away, and says it in the log. Whoever knocks without end is no longer listed nor answered in detail;
 * nobody is shut out by that, since a right token opens at any time. Guessing one of 256 bits needs no other hindrance.
 */
export class Refusals {
	private readonly log: Log;
	private readonly now: Clock;
	private readonly counts = new Map<Reason, number>();
	private since: Millis = 0;
	private recent = 0;

	constructor(log: Log, now: Clock = Date.now) {
		this.log = log;
		this.now = now;
	}

	/** Since the headend started. */
	get total(): number {
		let sum = 0;
		for (const count of this.counts.values()) sum += count;
		return sum;
	}

	/**
	 * Whether this is one too many in this minute.
	 * @param who by the name of a token, when it was a right one
	 */
	add(reason: Reason, address: string, who?: string): boolean {
		const now = this.now();
		if (now < this.since || now >= this.since + MINUTE) {
			if (this.recent > MOST)
				this.log.warn(
					{ count: this.recent - MOST },
					"more were turned away than are listed",
				);
			this.since = now;
			this.recent = 0;
		}
		const count = (this.counts.get(reason) ?? 0) + 1;
		this.counts.set(reason, count);
		if (++this.recent > MOST) return true;
		this.log.warn(
			{ reason, address, count, ...(who !== undefined && { who }) },
			"turned away from the operator's API",
		);
		return false;
	}
}
