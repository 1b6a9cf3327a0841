import { join } from "node:path";
import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Clock, HOUR, MINUTE, monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { loadRecord, saveRecord } from "../control/record.ts";
import { dayIn } from "../plan/hours.ts";
import { count } from "../wire/ids.ts";
import type { Moved } from "../wire/ipc.ts";
import type { Counters } from "../wire/reports.ts";

/** A day begins within so long after midnight. */
const ROUND: Millis = MINUTE;
/** What a power cut may take from it; each writing wears the flash. */
const EVERY: Millis = HOUR;

const NOTHING: Moved = { given: 0, fetched: 0, fromOrigin: 0, played: 0 };

const record = z.object({
	/** `2027-01-04`. */
	day: z.string(),
	given: count,
	fetched: count,
	fromOrigin: count,
	played: count,
});

export interface TodayOptions {
	/** The box's data folder. */
	readonly data: string;
	readonly counters: Counters;
	/** Whose midnight counts. */
	readonly zone: () => string;
	/** Undefined while the time is not known: what moves until then counts as of the day that it turns out to be. */
	readonly now: () => ReturnType<Clock> | undefined;
	readonly log: Log;
}

/** What the box has moved since midnight, for its household; over restarts, but for what a power cut takes. */
export class Today {
	private readonly options: TodayOptions;
	private readonly path: string;
	private readonly timer: NodeJS.Timeout;
	private day: string | undefined;
	private isKnown = false;
	/** Of this day, before `base`. */
	private carried = NOTHING;
	/** The counters as they stood when the day or this run began. */
	private base: Moved;
	private saved: string;
	private savedAt: Millis;

	private constructor(
		options: TodayOptions,
		kept: z.output<typeof record> | undefined,
	) {
		this.options = options;
		this.path = pathIn(options.data);
		this.base = moved(options.counters);
		if (kept !== undefined) {
			const { day, ...carried } = kept;
			this.day = day;
			this.carried = carried;
		}
		this.saved = JSON.stringify(this.figures);
		this.savedAt = monotonic();
		this.look();
		this.timer = setInterval(() => this.look(), ROUND).unref();
	}

	static async open(options: TodayOptions): Promise<Today> {
		const path = pathIn(options.data);
		const kept = await loadRecord(path, record);
		if (kept?.ok === false)
			options.log.warn({ slug: kept.reason }, `${path}: ${kept.detail}`);
		return new Today(options, kept?.ok ? kept.value : undefined);
	}

	get figures(): Moved {
		const now = moved(this.options.counters);
		const { base, carried } = this;
		return {
			given: carried.given + now.given - base.given,
			fetched: carried.fetched + now.fetched - base.fetched,
			fromOrigin: carried.fromOrigin + now.fromOrigin - base.fromOrigin,
			played: carried.played + now.played - base.played,
		};
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.save();
	}

	/** It may be another day, or it is known for the first time which one it is. */
	look(): void {
		const { now, zone, counters } = this.options;
		const at = now();
		if (at !== undefined) {
			const day = dayIn(zone(), at);
			if (day !== this.day) this.carried = NOTHING;
			// What moved before the time was known belongs to this day, as far as anybody can say.
			if (day !== this.day && this.isKnown) this.base = moved(counters);
			this.day = day;
			this.isKnown = true;
		}
		if (monotonic() - this.savedAt >= EVERY) void this.save();
	}

	/** Never rejects. */
	private async save(): Promise<void> {
		const { figures, day, path, saved } = this;
		const now = JSON.stringify(figures);
		this.savedAt = monotonic();
		if (day === undefined || now === saved) return;
		try {
			await saveRecord(path, { day, ...figures });
			this.saved = now;
		} catch (error) {
			this.options.log.error({}, describe(error));
		}
	}
}

function pathIn(data: string): string {
	return join(data, "control", "today.json");
}

function moved(counters: Counters): Moved {
	const { toNeighbours, fromNeighbours, fromOrigin, toPlayers } = counters;
	return {
		given: toNeighbours,
		fetched: fromNeighbours + fromOrigin,
		fromOrigin,
		played: toPlayers,
	};
}
