import type { Message } from "protomux";
import type { Pacer } from "../act/pacer.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { type Base, learn, leastOf } from "../plan/queue.ts";

/** What lies ready for the way beyond what it holds: as much as passes in this time, so that it never runs dry. */
const READY: Millis = 0.1 * SECOND;
/** Who has come to nothing for so long does not read: what lies in his connection keeps nothing from others. */
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
 * Invariants: `marks` are those that have not been reached, oldest first; what has not come is part of `afloat` unless it is stuck.
 */
export class Underway {
	private readonly marking: Message<number>;
	private readonly pacer: Pacer;
	private readonly marks: Mark[] = [];
	private number = 0;
	private handed: Bytes = 0;
	private reached: Bytes = 0;
	private stuck = false;
	private timer: NodeJS.Timeout | undefined;
	/** How long chunks took at least, of late; empty with a neighbour that knows no marks. */
	private base: Base = [];

	constructor(marking: Message<number>, pacer: Pacer) {
		this.marking = marking;
		this.pacer = pacer;
	}

	/** Whether no more is underway than the way holds and a little, to all and to this neighbour, so that more may follow. */
	readonly hasRoom = (): boolean => {
		const { pacer, base, left } = this;
		const least = base.length === 0 ? 0 : leastOf(base);
		const most = (pacer.rate * (least + READY)) / SECOND;
		return pacer.afloat < most && (base.length === 0 || left < most);
	};

	/** A chunk was handed over. Without a limit it is of no interest. */
	add(bytes: Bytes): void {
		if (this.pacer.rate === 0) return;
		if (this.base.length === 0 && this.marks.length >= UNKNOWN) return;
		this.handed += bytes;
		if (!this.stuck) this.pacer.afloat += bytes;
		const number = ++this.number;
		this.marks.push({ number, handed: this.handed, at: monotonic() });
		this.marking.send(number);
		this.timer ??= setTimeout(() => this.stick(), STUCK).unref();
	}

	/** The neighbour has come to a mark. Whether there is such a one. */
	reach(number: number): boolean {
		const at = this.marks.findIndex((mark) => mark.number === number);
		const mark = this.marks[at];
		if (mark === undefined) return false;
		this.marks.splice(0, at + 1);
		const now = monotonic();
		this.base = learn(this.base, now - mark.at, now);
		this.leave();
		this.reached = mark.handed;
		this.pacer.afloat += this.left;
		if (this.left > 0)
			this.timer = setTimeout(() => this.stick(), STUCK).unref();
		this.pacer.wake();
		return true;
	}

	close(): void {
		this.leave();
		this.marks.length = 0;
		this.reached = this.handed;
		this.pacer.wake();
	}

	private get left(): Bytes {
		return this.handed - this.reached;
	}

	private stick(): void {
		this.leave();
		this.stuck = true;
		this.pacer.wake();
	}

	/** Nothing of it is part of `afloat` any more. */
	private leave(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		if (!this.stuck) this.pacer.afloat -= this.left;
		this.stuck = false;
	}
}
