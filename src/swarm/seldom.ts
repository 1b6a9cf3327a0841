import { MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

const EVERY: Millis = MINUTE;

/**
 * Keeps what strangers cause from filling the log: one line of a kind a minute, which says how many it stands for.
 * Invariant: kinds are few and this program's own words.
 */
export class Seldom {
	private readonly kinds = new Map<string, { next: Millis; kept: number }>();

	/** How many were kept back since the last line of this kind; undefined while this one is to be kept back too. */
	pass(kind: string, now: Millis = Date.now()): number | undefined {
		const { next = 0, kept = 0 } = this.kinds.get(kind) ?? {};
		const isDue = now >= next;
		this.kinds.set(
			kind,
			isDue ? { next: now + EVERY, kept: 0 } : { next, kept: kept + 1 },
		);
		return isDue ? kept : undefined;
	}
}
