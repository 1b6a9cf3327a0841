import { monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";

/** Boxes that are to stay away for a while, whatever happens to the system's clock. */
export class Exile {
	private readonly until = new Map<BoxId, Millis>();

	has(box: BoxId): boolean {
		return (this.until.get(box) ?? 0) > monotonic();
	}

	add(box: BoxId, time: Millis): void {
		const now = monotonic();
		for (const [other, until] of this.until) {
			if (until <= now) this.until.delete(other);
		}
		this.until.set(box, now + time);
	}
}
