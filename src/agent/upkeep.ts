import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Clock, DAY, HOUR, monotonic, SECOND } from "../base/time.ts";
import { type Bytes, MiB, type Millis } from "../base/units.ts";
import { blocksIn } from "../content/geometry.ts";
import { loadRecord, saveRecord } from "../control/record.ts";
import { nextToScrub, type ScrubPlace } from "../plan/scrub.ts";
import type { ShardStore } from "../store/store.ts";
import { count, titleId } from "../wire/ids.ts";

/** So much is read through each second: 84 GiB a day of an idle box, a hundredth of what a disk gives. */
const EVERY: Millis = SECOND;
const PIECE: Bytes = MiB;
/** From the end of one pass to the next, as long as the box runs. */
const REST: Millis = 7 * DAY;
/** A power cut has so much read again. */
const SAVE: Millis = HOUR;
/** Names and sizes are compared this often. */
const AUDIT: Millis = 6 * HOUR;

const record = z.object({
	/** The last shard that was read through; none at the beginning of a pass. */
	after: z.optional(z.object({ title: titleId, shard: count })),
	/** When the last pass ended, by how long the box had run. */
	ended: z.optional(count),
});

export interface UpkeepOptions {
	readonly store: Pick<
		ShardStore,
		"titles" | "inventory" | "recheck" | "audit" | "disk" | "takesWrites"
	>;
	readonly path: string;
	/** How long this box has run: src/agent/clock.ts. */
	readonly ran: Clock;
	/** Whether nobody plays or fills. */
	readonly isIdle: () => boolean;
	readonly every?: Millis;
	readonly log: Log;
}

/**
 * Looks after what lies on the disk while the box is idle: reads it through, a little each second and one pass a week, and now and
 * then compares the books with the folder. What is lost is fetched again like anything that is missing.
 * Invariant: one piece of work at a time.
 */
export class Upkeep {
	private readonly options: UpkeepOptions;
	private place: z.output<typeof record>;
	/** The next block of the shard after `place`. */
	private block = 0;
	private working: Promise<void> = Promise.resolve();
	private busy = false;
	private audited = monotonic();
	private saved = monotonic();
	private readonly timer: NodeJS.Timeout;

	private constructor(options: UpkeepOptions, place: Upkeep["place"]) {
		this.options = options;
		this.place = place;
		const { every = EVERY } = options;
		this.timer = setInterval(() => this.tick(), every).unref();
		// What went wrong in the trouble shows now.
		options.store.disk.onChange(() => {
			this.audited = Number.NEGATIVE_INFINITY;
		});
	}

	/** Goes on where an earlier run was. */
	static async open(options: UpkeepOptions): Promise<Upkeep> {
		const kept = await loadRecord(options.path, record);
		if (kept?.ok === false)
			options.log.warn({ slug: kept.reason }, `${options.path} is left`);
		return new Upkeep(options, kept?.ok ? kept.value : {});
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.working;
		await this.save();
	}

	private tick(): void {
		const { isIdle, store } = this.options;
		if (this.busy || !isIdle() || !store.takesWrites) return;
		this.busy = true;
		this.working = this.work().finally(() => {
			this.busy = false;
		});
	}

	/** Never rejects. */
	private async work(): Promise<void> {
		const { store, log } = this.options;
		try {
			if (monotonic() - this.audited >= AUDIT) {
				this.audited = monotonic();
				await store.audit();
			} else await this.scrub();
		} catch (error) {
			log.warn({}, describe(error));
		}
		if (monotonic() - this.saved >= SAVE) await this.save();
	}

	private async scrub(): Promise<void> {
		const { store, ran } = this.options;
		const { after, ended } = this.place;
		if (after === undefined && ended !== undefined && ran() < ended + REST)
			return;
		const heldOf = (id: ScrubPlace["title"]) => store.inventory(id)?.held ?? [];
		const next = nextToScrub(store.titles(), heldOf, after);
		if (next === undefined) this.place = { ended: ran() };
		else await this.readThrough(next);
	}

	private async readThrough(next: ScrubPlace): Promise<void> {
		const { store } = this.options;
		const geometry = store.inventory(next.title)?.geometry;
		if (geometry === undefined) return;
		const blocks = blocksIn(geometry, next.shard);
		const first = Math.min(this.block, blocks - 1);
		const most = Math.ceil(PIECE / geometry.blockSize);
		const count = Math.min(most, blocks - first);
		const isIntact = await store.recheck(next.title, {
			...{ shard: next.shard, first, count },
		});
		this.block = first + count;
		// A shard that lost a block is held no longer: the rest of it is checked when it is whole again.
		if (isIntact && this.block < blocks) return;
		this.block = 0;
		this.place = { ...this.place, after: next };
	}

	/** Never rejects. */
	private async save(): Promise<void> {
		this.saved = monotonic();
		try {
			await saveRecord(this.options.path, this.place);
		} catch (error) {
			this.options.log.error({}, describe(error));
		}
	}
}
