import { monotonic } from "../base/time.ts";
import type { Bytes, Millis, Rate } from "../base/units.ts";

/** How far ahead of the rate a quiet box may send at once. */
const BURST_SECONDS = 0.1;

/** How somebody waits. */
export interface Waiting {
	readonly signal?: AbortSignal;
	/** Who comes so much later goes before. */
	readonly patience?: Millis;
	/** Whether what is sent would go on its way: until then others go, and `wake` says when to look again. Of no interest without a limit. */
	readonly hasRoom?: () => boolean;
}

interface Waiter {
	readonly bytes: Bytes;
	/** Those whose time comes sooner go first. */
	readonly due: Millis;
	readonly hasRoom: () => boolean;
	readonly go: () => void;
}

/**
 * Everything that passes one way takes its bytes from here first; one for the whole box's uplink.
 * Urgent before fill; within each, first come first served, but that who is patient lets others pass for so long. A neighbour waits
 * with one chunk at a time, which makes it fair.
 * Token bucket; `rate` 0 means no limit.
 */
export class Pacer {
	/** What has passed and is known to be on its way: see swarm/underway.ts. */
	afloat: Bytes = 0;
	private limit: Rate;
	private tokens = 0;
	private at = monotonic();
	private readonly urgent: Waiter[] = [];
	private readonly fill: Waiter[] = [];
	private timer: NodeJS.Timeout | undefined;

	constructor(rate: Rate) {
		this.limit = rate;
	}

	get rate(): Rate {
		return this.limit;
	}

	/** Takes effect at once, for those who wait too. */
	set rate(rate: Rate) {
		this.refill();
		this.limit = rate;
		this.serve();
	}

	/** There is room where there was none. */
	wake(): void {
		this.serve();
	}

	/** Resolves when `bytes` may pass; undefined when they may at once. Who stops waiting takes no bytes from the others. */
	take(
		bytes: Bytes,
		urgent: boolean,
		{ signal, patience = 0, hasRoom = () => true }: Waiting = {},
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
			const due = monotonic() + patience;
			const waiter: Waiter = { bytes, due, hasRoom, go };
			if (signal?.aborted) return leave();
			signal?.addEventListener("abort", leave, { once: true });
			const before = lane.findLastIndex((other) => other.due <= due);
			lane.splice(before + 1, 0, waiter);
			this.serve();
		});
	}

	private serve(): void {
		clearTimeout(this.timer);
		this.refill();
		for (;;) {
			// A chunk larger than the burst goes when the bucket is not in debt, and leaves it in debt.
			if (this.limit > 0 && this.tokens < 0) break;
			const next = this.next(this.urgent) ?? this.next(this.fill);
			if (next === undefined) return;
			if (this.limit > 0) this.tokens -= next.bytes;
			next.go();
		}
		if (this.urgent.length + this.fill.length === 0) return;
		const wait = (-this.tokens / this.limit) * 1000;
		this.timer = setTimeout(() => this.serve(), Math.max(1, wait));
	}

	/** Takes the first who can go out of a lane. */
	private next(lane: Waiter[]): Waiter | undefined {
		const at = lane.findIndex(({ hasRoom }) => this.limit === 0 || hasRoom());
		return at < 0 ? undefined : lane.splice(at, 1)[0];
	}

	private refill(): void {
		const now = monotonic();
		const earned = ((now - this.at) / 1000) * this.limit;
		this.at = now;
		this.tokens = Math.min(this.limit * BURST_SECONDS, this.tokens + earned);
	}
}
