import * as z from "zod/mini";
import type { Log } from "../../base/log.ts";
import { type Clock, SECOND, sleep } from "../../base/time.ts";
import type { Limit, Millis, Rate } from "../../base/units.ts";
import { loadRecord, saveRecord } from "../../control/record.ts";
import { stricter } from "../../plan/household.ts";
import { count } from "../../wire/ids.ts";
import { limit } from "../../wire/ipc.ts";
import { PARTS, type Part } from "../../wire/reports.ts";

/** Between two writes. */
const PAUSE: Millis = SECOND;

const record = z.object({
	part: z.enum(PARTS),
	/** By how long the box has run; null is until it is resumed. */
	pausedUntil: z.optional(z.nullable(count)),
	up: z.optional(limit),
	upActive: z.optional(limit),
});
type Record = z.output<typeof record>;

/** What may be given in all, and while the household is active. */
export interface Limits {
	readonly up: Limit;
	readonly upActive: Limit;
}

export type LimitsWanted = { readonly [K in keyof Limits]?: Limit | undefined };

export interface WillOptions {
	readonly path: string;
	/** How long this box has run: a clock that is put forward ends no pause. */
	readonly ran: Clock;
	readonly log: Log;
}

/** What the household has said for longer than a start of the agent: kept on the disk. */
export class Will {
	private readonly options: WillOptions;
	private record: Record = { part: "in" };
	/** The last one written or being written, and the one after it, which will have all that was said by then. */
	private saved: Promise<unknown> = Promise.resolve();
	private next: Promise<void> | undefined;

	private constructor(options: WillOptions) {
		this.options = options;
	}

	static async open(options: WillOptions): Promise<Will> {
		const will = new Will(options);
		const kept = await loadRecord(options.path, record);
		if (kept?.ok) will.record = kept.value;
		else if (kept !== undefined)
			options.log.warn(
				{ slug: kept.reason },
				`${options.path}: ${kept.detail}`,
			);
		return will;
	}

	get part(): Part {
		return this.record.part;
	}

	/** How long the pause still lasts, Infinity until it is ended; 0 when there is none. */
	get pause(): Millis {
		const { pausedUntil } = this.record;
		if (pausedUntil === undefined) return 0;
		if (pausedUntil === null) return Number.POSITIVE_INFINITY;
		return Math.max(0, pausedUntil - this.options.ran());
	}

	/** The operator's limits, or the household's own where those are stricter. */
	within(configured: { readonly up: Rate; readonly upActive: Limit }): Limits {
		const { up = 0, upActive = 0 } = this.record;
		return {
			up: stricter(configured.up, up),
			upActive: stricter(configured.upActive, upActive),
		};
	}

	/** Rejects with STORE_UNUSABLE when it cannot be kept; it holds until the agent ends all the same. */
	takePart(part: Part): Promise<void> {
		return this.change({ part });
	}

	/** For so long, or with Infinity until it is resumed; 0 ends it. */
	rest(span: Millis): Promise<void> {
		if (span === 0) return this.change({ pausedUntil: undefined });
		const until = Number.isFinite(span) ? this.options.ran() + span : null;
		return this.change({ pausedUntil: until });
	}

	/** What is undefined stays as it is. */
	limit({ up, upActive }: LimitsWanted): Promise<void> {
		return this.change({
			...(up !== undefined && { up }),
			...(upActive !== undefined && { upActive }),
		});
	}

	private async change(
		said: {
			[K in keyof Record]?: Record[K] | undefined;
		},
	): Promise<void> {
		this.record = { ...this.record, ...said } as Record;
		this.next ??= this.saved.then(() => {
			this.next = undefined;
			const writing = saveRecord(this.options.path, this.record);
			// Who changes his mind all the time wears no flash out.
			this.saved = Promise.allSettled([writing, sleep(PAUSE)]);
			return writing;
		});
		await this.next;
	}
}
