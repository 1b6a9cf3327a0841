import type { Bytes, Millis, Rate } from "../base/units.ts";

/** Weight of a new sample in the moving averages. */
const FRESHNESS = 0.3;
const SAMPLE: Millis = 200;
/** The first sample is taken early: until then a neighbour is unproven. */
const FIRST_SAMPLE: Millis = 50;
const SILENT: Rate = 1;

/** How fast one neighbour answers over one connection: moving averages of samples. 0 while unproven. */
export class Measure {
	throughput: Rate = 0;
	roundTrip: Millis = 0;
	private bytes: Bytes = 0;
	private since: Millis = 0;

	/** Bytes are owed again after a time without: the time between counts for nothing. */
	start(now: Millis): void {
		this.bytes = 0;
		this.since = now;
	}

	received(bytes: Bytes, now: Millis): void {
		this.bytes += bytes;
		const span = now - this.since;
		if (span < (this.throughput > 0 ? SAMPLE : FIRST_SAMPLE)) return;
		this.throughput = blend(this.throughput, (this.bytes / span) * 1000);
		this.start(now);
	}

	/** What was asked for while nothing else was owed took so long to begin. */
	answered(waited: Millis): void {
		this.roundTrip = blend(this.roundTrip, waited);
	}

	/** Whether what was owed did not come, and nothing has since. */
	get isSilent(): boolean {
		return this.throughput === SILENT;
	}

	/** What was owed did not come: it is the last to be asked, until it has sent something again. */
	silent(): void {
		this.throughput = SILENT;
	}
}

function blend(old: number, sample: number): number {
	return old === 0 ? sample : old * (1 - FRESHNESS) + sample * FRESHNESS;
}
