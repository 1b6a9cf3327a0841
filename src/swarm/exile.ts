import { MINUTE, monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";

/** Who lied stays away for so long. Who only fell silent may have lost power. */
const EXILE: Millis = 10 * MINUTE;
const SILENT_EXILE: Millis = MINUTE;

/** Boxes that are to stay away for a while, whatever happens to the system's clock. */
export class Exile {
	private readonly until = new Map<BoxId, Millis>();

	has(box: BoxId): boolean {
		return (this.until.get(box) ?? 0) > monotonic();
	}

	/** @param slug what it did */
	add(box: BoxId, slug: string): void {
		const time = slug === "silent" ? SILENT_EXILE : EXILE;
		const now = monotonic();
		for (const [other, until] of this.until) {
			if (until <= now) this.until.delete(other);
		}
		this.until.set(box, now + time);
	}
}
