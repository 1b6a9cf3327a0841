import { monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import type { Status } from "../wire/ipc.ts";
import type { Counters } from "../wire/reports.ts";

/** How many whole seconds before the present one count. */
const WINDOW = 5;

type Moved = Pick<Counters, "fromNeighbours" | "fromOrigin" | "toNeighbours">;

interface Second extends Moved {
	/** Whole seconds of the monotonic clock. */
	readonly at: number;
}

/**
 * Counts what comes in and goes out where it moves: in the counters for good, and by the second to say how fast it is now.
 * Invariant: `seconds` holds only seconds in which something moved, in order, at most WINDOW and the present one.
 */
export class Flow {
	private readonly counters: Moved;
	private readonly seconds: Second[] = [];

	constructor(counters: Moved) {
		this.counters = counters;
	}

	moved(way: keyof Moved, bytes: Bytes, now: Millis = monotonic()): void {
		this.counters[way] += bytes;
		this.second(now)[way] += bytes;
	}

	/** Bytes a second over the last five to six seconds: `down` from neighbours and origin together, `origin` its part of that. */
	rates(now: Millis = monotonic()): Status["rates"] {
		const first = Math.floor(now / SECOND) - WINDOW;
		const sum = { fromNeighbours: 0, fromOrigin: 0, toNeighbours: 0 };
		for (const second of this.seconds) {
			if (second.at < first) continue;
			sum.fromNeighbours += second.fromNeighbours;
			sum.fromOrigin += second.fromOrigin;
			sum.toNeighbours += second.toNeighbours;
		}
		const span = now / SECOND - first;
		return {
			down: (sum.fromNeighbours + sum.fromOrigin) / span,
			up: sum.toNeighbours / span,
			origin: sum.fromOrigin / span,
		};
	}

	private second(now: Millis): Second {
		const at = Math.floor(now / SECOND);
		const last = this.seconds.at(-1);
		if (last?.at === at) return last;
		const second = { at, fromNeighbours: 0, fromOrigin: 0, toNeighbours: 0 };
		this.seconds.push(second);
		if (this.seconds.length > WINDOW + 1) this.seconds.shift();
		return second;
	}
}
