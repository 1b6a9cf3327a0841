import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";

/** So much work in a second, and so much at once after a rest. */
export class Budget {
	private readonly perSecond: number;
	private readonly most: number;
	private left: number;
	private at: Millis | undefined;

	constructor(perSecond: number, most: number) {
		this.perSecond = perSecond;
		this.most = most;
		this.left = most;
	}

	/** Whether there is some left for one more. A clock that is set back gives nothing and takes nothing. */
	take(now: Millis): boolean {
		this.fill(now);
		if (this.left < 1) return false;
		this.left--;
		return true;
	}

	/** Whether it is as good as a new one. */
	isFull(now: Millis): boolean {
		this.fill(now);
		return this.left >= this.most;
	}

	private fill(now: Millis): void {
		const passed = Math.max(0, now - (this.at ?? now));
		this.at = now;
		this.left = Math.min(
			this.most,
			this.left + (passed / SECOND) * this.perSecond,
		);
	}
}
