import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** A read that begins this near to the end of another goes on where that ended, be it in another rendition or a track beside it. */
const NEAR: Millis = SECOND / 2;
/** A player reads sound, picture and perhaps subtitles side by side; several players may read one title. */
const MOST = 16;

/** How one player gets on: what is at `time` of its playing time is shown at `origin + time`, by the monotonic clock, or later. */
export interface Playhead {
	readonly origin: Millis;
	/** Until when in playing time it has what it needs. */
	until: Millis;
}

/**
 * When players of one title need what they read. Nobody tells what a player has in its buffer, so the soonest is taken: a player shows
 * the beginning of what it reads first at once, and from there on never stands still. One that comes late to what it should have
 * shown already did, and from then on the same holds again.
 */
export class Playheads {
	/** Least recently used first. */
	private heads: Playhead[] = [];

	/**
	 * A read begins.
	 * @param time in playing time at which its first byte is needed
	 */
	begin(time: Millis, now: Millis): Playhead {
		const before = this.heads.findLast(
			({ until }) => Math.abs(until - time) <= NEAR,
		);
		const origin = Math.max(before?.origin ?? -Infinity, now - time);
		const head: Playhead = { origin, until: before?.until ?? time };
		const others = this.heads.filter((one) => one !== before);
		this.heads = [...others, head].slice(-MOST);
		return head;
	}
}
