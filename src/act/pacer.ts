import { monotonic } from "../base/time.ts";
import type { Bytes, Rate } from "../base/units.ts";

/** How far ahead of the rate a quiet box may send at once. */
const BURST_SECONDS = 0.1;

interface Waiter {
	readonly bytes: Bytes;
	readonly go: () => void;
}

/**
 * Everything that passes one way takes its bytes from here first; one for the whole box's uplink.
 * Urgent before fill; within each, first come first served. A neighbour waits with one chunk at a time, which makes it fair.
 * Token bucket; `rate` 0 means no limit.
 */
export class Pacer {
	private limit: Rate;
	private tokens = 0;
	private at = monotonic();
	private readonly urgent: Waiter[] = [];
	private readonly fill: Waiter[] = [];
	private timer: NodeJS.Timeout | undefined;
	/** How many are being served, and so share the rate. */
	sharers = 0;

	constructor(rate: Rate) {
		this.limit = rate;
	}

	get rate(): Rate {
		return this.limit;
	}

	/** What of the rate is for each of those that are served; Infinity without a limit. */
	get share(): Rate {
		if (this.limit === 0) return Number.POSITIVE_INFINITY;
		return this.limit / Math.max(1, this.sharers);
	}

	/** Takes effect at once, for those who wait too. */
	set rate(rate: Rate) {
		this.refill();
		this.limit = rate;
		this.serve();
	}

	/** Resolves when `bytes` may pass; undefined when they may at once. Who stops waiting takes no bytes from the others. */
	take(
		bytes: Bytes,
		urgent: boolean,
		signal?: AbortSignal,
	): Promise<void> | undefined {
		if (this.limit === 0) return undefined;
		const lane = urgent ? this.urgent : this.fill;
		return new Promise((resolve, reject) => {
			const leave = () => {
				const at = lane.indexOf(waiter);
				if (at >= 0) lane.splice(at, 1);
				reject(signal?.reason as Error);
			};
			const go = () => {
				signal?.removeEventListener("abort", leave);
				resolve();
			};
			const waiter: Waiter = { bytes, go };
			if (signal?.aborted) return leave();
			signal?.addEventListener("abort", leave, { once: true });
			lane.push(waiter);
			this.serve();
		});
	}

	private serve(): void {
		clearTimeout(this.timer);
		this.refill();
		for (;;) {
			const lane = this.urgent.length > 0 ? this.urgent : this.fill;
			const next = lane[0];
			if (next === undefined) return;
			// A chunk larger than the burst goes when the bucket is not in debt, and leaves it in debt.
			if (this.limit > 0 && this.tokens < 0) break;
			lane.shift();
			if (this.limit > 0) this.tokens -= next.bytes;
			next.go();
		}
		const wait = (-this.tokens / this.limit) * 1000;
		this.timer = setTimeout(() => this.serve(), Math.max(1, wait));
	}

	private refill(): void {
		const now = monotonic();
		const earned = ((now - this.at) / 1000) * this.limit;
		this.at = now;
		this.tokens = Math.min(this.limit * BURST_SECONDS, this.tokens + earned);
	}
}
