import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Clock, DAY, HOUR } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { loadRecord, saveRecord } from "../control/record.ts";
import { count } from "../wire/ids.ts";
import type { Written } from "../wire/reports.ts";
import type { Config } from "./config.ts";
import type { Flash } from "./flash.ts";

/** What is written down: seldom, for it wears the flash, too. A power cut forgives what was written since. */
const EVERY: Millis = HOUR;
/** Of a budget that is spent so much has to come back before filling goes on, or it would go on and off with each shard. */
const PAUSE = 1 / 24;
/** Of flash that nobody gave a budget: cells last some 3,000 writes, each written byte costs two or three, and a receiver lives seven years. */
const SHARE = 1 / 4;

const record = z.object({
	...{ spent: count, ran: count },
	/** Bytes written in all, and of them since the boot named. */
	written: z.optional(z.object({ all: count, since: count, boot: z.string() })),
});

/** Bytes a day that filling may write; 0 is no limit. */
export function budgetOf(
	configured: Config["fill"]["writeBudget"],
	flash: Flash | undefined,
): Bytes {
	if (configured !== "auto") return configured;
	return Math.floor((flash?.size ?? 0) * SHARE);
}

export interface BudgetOptions {
	/** Bytes a day; 0 is no limit. */
	readonly budget: Bytes;
	/** How long this box has run: src/agent/clock.ts. While it is off nothing comes back. */
	readonly ran: Clock;
	/** Of this boot of the receiver. */
	readonly boot: string;
	readonly path: string;
	readonly log: Log;
}

/**
 * What titles may wear the disk in a day. It is a bucket that empties as the box runs, a budget in a day, so that no hour comes in
 * which a whole region begins to fill. All that is kept counts; only filling waits. Also counts what was written in all.
 */
export class WriteBudget {
	private readonly options: BudgetOptions;
	private readonly timer: NodeJS.Timeout;
	private level: Bytes = 0;
	/** When that was, by how long the box had run. */
	private at: Millis;
	private waits = false;
	private tally = { boot: 0, all: 0 };
	private saved = { spent: 0, all: 0 };

	private constructor(options: BudgetOptions) {
		this.options = options;
		this.at = options.ran();
		this.timer = setInterval(() => void this.save(), EVERY).unref();
	}

	/** Takes up what was written before the restart. */
	static async open(options: BudgetOptions): Promise<WriteBudget> {
		const budget = new WriteBudget(options);
		const kept = await loadRecord(options.path, record);
		if (kept?.ok) budget.takeUp(kept.value);
		else if (kept !== undefined)
			options.log.warn(
				{ slug: kept.reason },
				`${options.path}: ${kept.detail}`,
			);
		return budget;
	}

	/** Bytes a day; 0 is no limit. */
	get limit(): Bytes {
		return this.options.budget;
	}

	/** Bytes written and not yet forgiven. */
	get spent(): Bytes {
		const { budget, ran } = this.options;
		const now = ran();
		this.level = Math.max(0, this.level - (budget * (now - this.at)) / DAY);
		this.at = now;
		return Math.ceil(this.level);
	}

	/** Whether filling has to wait. */
	get isSpent(): boolean {
		const { budget } = this.options;
		if (budget === 0) return false;
		this.waits = this.spent >= (this.waits ? budget * (1 - PAUSE) : budget);
		return this.waits;
	}

	get written(): Written {
		return this.tally;
	}

	wrote(bytes: Bytes): void {
		const { boot, all } = this.tally;
		this.tally = { boot: boot + bytes, all: all + bytes };
		if (this.options.budget > 0) this.level = this.spent + bytes;
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.save();
	}

	private takeUp({ spent, ran, written }: z.output<typeof record>): void {
		const { all = 0, since = 0, boot } = written ?? {};
		this.tally = { boot: boot === this.options.boot ? since : 0, all };
		this.level = spent;
		// What the clock lost in a power cut is not given twice.
		this.at = Math.min(ran, this.options.ran());
		this.saved = { spent, all };
	}

	/** Never rejects. */
	private async save(): Promise<void> {
		const { path, log, ran, boot } = this.options;
		const { spent, saved } = this;
		const { all, boot: since } = this.tally;
		if (spent === saved.spent && all === saved.all) return;
		try {
			const written = { all, since, boot };
			await saveRecord(path, { spent, ran: ran(), written });
			this.saved = { spent, all };
		} catch (error) {
			log.error({}, describe(error));
		}
	}
}
