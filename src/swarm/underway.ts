import { EventEmitter, once } from "node:events";
import type { Message } from "protomux";
import type { Pacer } from "../act/pacer.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { type Base, learn, leastOf } from "../plan/queue.ts";

/** What lies ready for the way beyond what it holds: as much as passes in this time, so that it never runs dry. */
const READY: Millis = 0.1 * SECOND;

/** Who has come to nothing for so long takes no share of the rate. */
const STUCK: Millis = SECOND;
/** A neighbour that has come to none of so many knows none. */
const UNKNOWN = 16;

interface Mark {
	readonly number: number;
	/** What was handed over before it, in all, and when. */
	readonly handed: Bytes;
	readonly at: Millis;
}

/**
 * What was handed to one connection and has not come to its other side. A connection takes hundreds of kilobytes before it says that it
 * is full; on a slow uplink they wait in this box for half a second and more, where no probe of the uplink sees them and nothing can
 * take them back. So each chunk is followed by a mark, and the neighbour says which one it has come to.
 * Invariant: `marks` are those that have not been reached, oldest first.
 */
export class Underway {
	private readonly marking: Message<number>;
	private readonly pacer: Pacer;
	private readonly marks: Mark[] = [];
	private readonly news = new EventEmitter();
	private number = 0;
	private handed: Bytes = 0;
	private reached: Bytes = 0;
	/** How long chunks took at least, of late; empty with a neighbour that knows no marks. */
	private base: Base = [];

	constructor(marking: Message<number>, pacer: Pacer) {
		this.marking = marking;
		this.pacer = pacer;
	}

	/** A chunk was handed over. Without a limit it is of no interest. */
	add(bytes: Bytes): void {
		if (this.pacer.rate === 0) return;
		this.handed += bytes;
		if (this.base.length === 0 && this.marks.length >= UNKNOWN) return;
		const number = ++this.number;
		this.marks.push({ number, handed: this.handed, at: monotonic() });
		this.marking.send(number);
	}

	/** The neighbour has come to a mark. Whether there is such a one. */
	reach(number: number): boolean {
		const at = this.marks.findIndex((mark) => mark.number === number);
		const mark = this.marks[at];
		if (mark === undefined) return false;
		this.marks.splice(0, at + 1);
		this.reached = mark.handed;
		const now = monotonic();
		this.base = learn(this.base, now - mark.at, now);
		this.news.emit("reached");
		return true;
	}

	/** Resolves when no more is underway than the way holds and a little, so that more may follow. Rejects when the signal comes first. */
	async room(signal: AbortSignal): Promise<void> {
		if (this.isRoom) return;
		const { pacer } = this;
		let isStuck = false;
		const stuck = setTimeout(() => {
			isStuck = true;
			pacer.sharers--;
		}, STUCK);
		try {
			while (!this.isRoom) await once(this.news, "reached", { signal });
		} finally {
			clearTimeout(stuck);
			if (isStuck) pacer.sharers++;
		}
	}

	private get isRoom(): boolean {
		if (this.base.length === 0) return true;
		const span = leastOf(this.base) + READY;
		return this.handed - this.reached < (this.pacer.share * span) / SECOND;
	}
}
