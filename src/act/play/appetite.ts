import { type Bytes, KiB, MiB } from "../../base/units.ts";

/** What a read takes from disk at first, and in the end at most: the first byte does not wait for a long read. */
const FIRST: Bytes = 64 * KiB;
const EACH: Bytes = MiB;
/** What all of them hold, about: four players have as much as they can use, and five hundred leave the agent its memory. */
const ALL: Bytes = 4 * MiB;

/** One read's part. */
export interface Helping {
	/** What it may take in one go now: twice as much as the last time, up to its share. Who takes nothing has little read for him. */
	next(): Bytes;
	end(): void;
}

/**
 * Shares out among all reads of this box what may be held in memory ahead of players, who may take it slowly or not at all.
 * Invariant: `reads` counts those that have begun and not ended.
 */
export class Appetite {
	private reads = 0;

	/** What one read may hold as things are. */
	get share(): Bytes {
		return Math.min(EACH, ALL / Math.max(1, this.reads));
	}

	begin(): Helping {
		this.reads++;
		let last = FIRST / 2;
		return {
			next: () => {
				last = Math.min(2 * last, this.share);
				return last;
			},
			end: () => void this.reads--,
		};
	}
}
