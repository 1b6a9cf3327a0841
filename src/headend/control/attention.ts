import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type BoxId, short } from "../../wire/ids.ts";

/** However large the fleet: so many boxes are asked in a round, and a round is a second. */
const PER_ROUND = 5;
const ROUND: Millis = SECOND;
/** What is younger is fresh enough to be looked at. */
const FRESH: Millis = 5 * SECOND;
/** A box that does not answer is not asked again so soon. */
const REST: Millis = 30 * SECOND;

export interface AttentionOptions {
	/** Whether somebody looks at the page. */
	readonly watched: () => boolean;
	/** Since when the headend hears what boxes say; undefined while the broker is away. */
	readonly hearingSince: () => Millis | undefined;
	/** Boxes that are there and told no levels since an instant, or not since they started; longest silent first. */
	readonly silent: (since: Millis, limit: number) => Promise<readonly BoxId[]>;
	/** Has a box report. */
	readonly ask: (box: BoxId) => Promise<void>;
	readonly log: Log;
	readonly round?: Millis;
	readonly now?: Clock;
}

/**
 * Boxes tell their levels when one changes, and a few times an hour. Who told them while the headend did not hear,
 * because it or the broker was away, is asked again; and while somebody looks, all are asked in turn.
 * Invariant: one round at a time; a box is asked at most once in `REST` without having answered.
 */
export class Attention {
	private readonly options: AttentionOptions;
	private readonly now: Clock;
	private readonly timer: NodeJS.Timeout;
	private readonly asked = new Map<BoxId, Millis>();
	private running: Promise<void> | undefined;

	constructor(options: AttentionOptions) {
		this.options = options;
		this.now = options.now ?? Date.now;
		this.timer = setInterval(() => {
			this.running ??= this.round().finally(() => {
				this.running = undefined;
			});
		}, options.round ?? ROUND);
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.running;
	}

	private async round(): Promise<void> {
		const { watched, hearingSince, silent, ask, log } = this.options;
		const now = this.now();
		const hearing = hearingSince();
		if (hearing === undefined) return;
		const since = watched() ? now - FRESH : hearing;
		for (const [box, at] of this.asked)
			if (now - at > REST) this.asked.delete(box);
		try {
			const boxes = await silent(since, PER_ROUND + this.asked.size);
			const rested = boxes.filter((box) => !this.asked.has(box));
			for (const box of rested.slice(0, PER_ROUND)) {
				await ask(box);
				this.asked.set(box, now);
				log.trace({ box: short(box) }, "asked to report");
			}
			// Who is not among the silent has answered.
			for (const box of this.asked.keys())
				if (!boxes.includes(box)) this.asked.delete(box);
		} catch (error) {
			log.debug({}, `boxes were not asked: ${describe(error)}`);
		}
	}
}
