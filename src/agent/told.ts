import { uptime } from "node:os";
import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Seldom } from "../base/seldom.ts";
import { type Clock, DAY, SECOND, sleep } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { loadRecord, saveRecord } from "../control/record.ts";
import { count } from "../wire/ids.ts";
import { ACTIVITIES, type Activity } from "../wire/ipc.ts";
import { type State, state } from "../wire/reports.ts";

/** Between two writes. */
const PAUSE: Millis = SECOND;
/** Within a day a receiver is used again: what was told of its power longer ago was forgotten to be taken back. */
const POWER: Millis = DAY;

/** Milliseconds since the machine started, in its sleep too. */
const ticks: Clock = () => Math.floor(uptime() * SECOND);

const record = z.object({
	boot: z.string(),
	/** Each by how long the machine had been on. */
	activity: z.optional(z.object({ said: z.enum(ACTIVITIES), at: count })),
	power: z.optional(z.object({ said: state.shape.power, at: count })),
});
type Record = z.output<typeof record>;

export interface ToldOptions {
	/** In memory in a packaged box, so that it goes with the boot; elsewhere `boot` tells. */
	readonly path: string;
	/** Of this boot of the receiver. */
	readonly boot: string;
	readonly log: Log;
	readonly now?: Clock;
}

/** What it was told just now. */
export interface Words {
	readonly activity?: Activity;
	readonly power?: State["power"];
}

/**
 * What the receiver's user interface told, over a restart of the agent and not over one of the receiver: an agent that its watchdog
 * starts again in the middle of a recording is told nothing anew.
 */
export class Told {
	private readonly options: ToldOptions;
	private readonly now: Clock;
	private record: Record;
	/** The last one written or being written, and the one after it, which will have all that was told by then. */
	private saved: Promise<unknown> = Promise.resolve();
	private next: Promise<void> | undefined;
	private readonly closing = new AbortController();
	private readonly seldom = new Seldom();

	private constructor(options: ToldOptions, kept: Record | undefined) {
		this.options = options;
		this.now = options.now ?? ticks;
		const { boot } = options;
		this.record = kept?.boot === boot ? kept : { boot };
	}

	static async open(options: ToldOptions): Promise<Told> {
		const kept = await loadRecord(options.path, record);
		if (kept?.ok === false)
			options.log.warn(
				{ slug: kept.reason },
				`${options.path}: ${kept.detail}`,
			);
		return new Told(options, kept?.ok ? kept.value : undefined);
	}

	/** What the household was last told to do, and how long ago; how long that holds is the household's to judge. */
	get activity(): { readonly said: Activity; readonly ago: Millis } {
		const { said, at } = this.record.activity ?? { said: "idle", at: 0 };
		return { said, ago: Math.max(0, this.now() - at) };
	}

	get power(): State["power"] {
		const { power } = this.record;
		const isFresh = power !== undefined && this.now() - power.at < POWER;
		return isFresh ? power.said : "active";
	}

	/** Is kept within a second or two; where it cannot be, the log says so and it holds until the agent ends. */
	keep({ activity, power }: Words): void {
		const at = this.now();
		this.record = {
			...this.record,
			...(activity && { activity: { said: activity, at } }),
			...(power && { power: { said: power, at } }),
		};
		this.next ??= this.saved.then(() => {
			this.next = undefined;
			// Who says things all the time has few of them written.
			const pause = sleep(PAUSE, this.closing.signal);
			this.saved = Promise.allSettled([this.save(), pause]);
		});
	}

	async close(): Promise<void> {
		this.closing.abort();
		await this.next;
		await this.saved;
	}

	/** Never rejects. */
	private async save(): Promise<void> {
		const { path, log } = this.options;
		try {
			await saveRecord(path, this.record);
		} catch (error) {
			const others = this.seldom.pass("told");
			if (others !== undefined) log.warn({ others }, describe(error));
		}
	}
}
