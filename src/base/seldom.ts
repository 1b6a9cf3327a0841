import { MINUTE, monotonic } from "./time.ts";
import type { Millis } from "./units.ts";

const EVERY: Millis = MINUTE;

interface Kind {
	readonly until: Millis;
	readonly passed: number;
	readonly kept: number;
}

/**
 * Keeps what others cause from filling the log: so many lines of a kind a minute, and then how many were kept back.
 * Invariant: kinds are few and this program's own words.
 */
export class Seldom {
	private readonly most: number;
	private readonly kinds = new Map<string, Kind>();

	/** @param most lines of a kind in a minute */
	constructor(most = 1) {
		this.most = most;
	}

	/** How many were kept back before this one, which may be told; undefined while it is to be kept back too. */
	pass(kind: string, now: Millis = monotonic()): number | undefined {
		const last = this.kinds.get(kind);
		if (last === undefined || now >= last.until) {
			this.kinds.set(kind, { until: now + EVERY, passed: 1, kept: 0 });
			return last?.kept ?? 0;
		}
		const { passed, kept } = last;
		const isTold = passed < this.most;
		this.kinds.set(
			kind,
			isTold ? { ...last, passed: passed + 1 } : { ...last, kept: kept + 1 },
		);
		return isTold ? 0 : undefined;
	}
}
