import type { Log } from "../../base/log.ts";
import type { Clock } from "../../base/time.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import { Budget } from "./budget.ts";

/** What kinds of work there are, each with a budget of its own: whoever floods one leaves the others be. */
const WORK = {
	/** A request is looked at: read, and its signature checked, some 0.2 ms. */
	look: [500, 1000],
	/** Papers for a box on record: some 5 ms, as what follows. */
	known: [20, 100],
	/** A claim that only the factory and the box know. */
	own: [20, 100],
	/** A claim that many know. */
	shared: [5, 50],
	/** It is said why there are no papers. */
	refusal: [50, 100],
} as const satisfies Record<string, readonly [perSecond: number, most: number]>;
export type Work = keyof typeof WORK;

/** One box, or one serial, gets so many answers in a row and then one in ten seconds. */
const EACH = [0.1, 6] as const;
/** Boxes and serials of which that is remembered. */
const REMEMBERED = 10_000;
/** Lines in the log. */
const LINES = [1, 10] as const;

/** Bounds what strangers can have the headend do, and counts what comes to nothing. */
export class Gate {
	private readonly log: Log;
	private readonly now: Clock;
	private readonly budgets: Readonly<Record<Work, Budget>> = {
		look: new Budget(...WORK.look),
		known: new Budget(...WORK.known),
		own: new Budget(...WORK.own),
		shared: new Budget(...WORK.shared),
		refusal: new Budget(...WORK.refusal),
	};
	private readonly lines = new Budget(...LINES);
	private readonly each = new Map<string, Budget>();
	private readonly counts = new Map<string, number>();

	constructor(log: Log, now: Clock = Date.now) {
		this.log = log;
		this.now = now;
	}

	/** How many requests came to nothing since the headend started, by slug. */
	get dropped(): Readonly<Record<string, number>> {
		return Object.fromEntries(this.counts);
	}

	/** Whether one more may be done now. */
	may(work: Work): boolean {
		return this.budgets[work].take(this.now());
	}

	/** Whether this one box, or serial, may have one more answer now. */
	mayHave(name: string): boolean {
		const now = this.now();
		let budget = this.each.get(name);
		if (budget === undefined) {
			if (this.each.size >= REMEMBERED) this.forget();
			budget = new Budget(...EACH);
			this.each.set(name, budget);
		}
		return budget.take(now);
	}

	/** A request comes to nothing; some are named in the log. */
	drop(slug: string, box: BoxId, detail?: string): void {
		const count = (this.counts.get(slug) ?? 0) + 1;
		this.counts.set(slug, count);
		if (!this.lines.take(this.now())) return;
		this.log.warn(
			{ slug, box: short(box), count, ...(detail && { detail }) },
			"enrolment refused",
		);
	}

	/** Those that have rested long enough to be as good as new; all, when nobody has. */
	private forget(): void {
		const now = this.now();
		for (const [name, budget] of this.each)
			if (budget.isFull(now)) this.each.delete(name);
		if (this.each.size >= REMEMBERED) this.each.clear();
	}
}
