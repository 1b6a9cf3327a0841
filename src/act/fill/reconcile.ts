import type { Log } from "../../base/log.ts";
import { MINUTE, monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import {
	type FillPlan,
	type FillStep,
	type Lanes,
	type Outlook,
	planFill,
	type WantedShard,
} from "../../plan/fill.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { PlacedTitle } from "../../wire/placement.ts";
import type { Room } from "../room.ts";
import { Desire } from "./desire.ts";
import { Failures, type Trouble } from "./failures.ts";
import { Lookout, type OutlookPorts } from "./outlook.ts";
import { Relief } from "./relief.ts";
import { execute, type StepPorts } from "./steps.ts";
import { Tidy } from "./tidy.ts";
import { keyOf, Underway } from "./underway.ts";
import { Watches } from "./watches.ts";

/** Steps under way at a time. The origin's sockets are left to viewers, too. */
const LANES: Lanes = { manifests: 8, origin: 2, neighbours: 32 };
/** Missing shards that are looked at each round. */
const LOOK = 256;
/** Shards each round whose holders are dialled. */
const DIALLED = 4;
/** The disk is looked at anew at least this often, and this soon after news. */
const ROUND: Millis = 5 * SECOND;
const SOON: Millis = 50;
const SWEEP: Millis = MINUTE;

export interface Progress {
	readonly plan: FillPlan;
	readonly trouble: Trouble | undefined;
}

export interface ReconcileOptions extends StepPorts, OutlookPorts {
	readonly room: Room;
	/** Whether shards may be begun: filling must not wear the disk out. */
	readonly mayFill: () => boolean;
	/** Whether fill may be fetched from there now; what is under way when it no longer may is stopped. */
	readonly isOpen: (lane: "origin" | "neighbours") => boolean;
	/** Whether somebody plays a title. */
	readonly isPlayed: (id: TitleId) => boolean;
	readonly onProgress: (progress: Progress) => void;
	/** Whether a title that is taken back may leave the disk, too; until then it is only not fetched. */
	readonly mayRemove: (id: TitleId) => boolean;
	/** A title is off the disk for good. */
	readonly onRemoved: (id: TitleId) => void;
	readonly log: Log;
}

/**
 * Brings the disk to what is desired: observe, plan, act, observe again. It never believes a step's own claim.
 * Single owner of the running fill steps.
 */
export class Reconciler {
	private readonly options: ReconcileOptions;
	private readonly underway = new Underway();
	private readonly failures = new Failures();
	private readonly lookout: Lookout;
	private readonly tidy: Tidy;
	private readonly relief: Relief;
	private readonly watches: Watches;
	private readonly endNews: () => void;
	private readonly sweeping: NodeJS.Timeout;
	private titles: readonly PlacedTitle[] | undefined;
	private purged: ReadonlySet<TitleId> = new Set();
	private desire = new Desire([], new Set());
	private timer: NodeJS.Timeout | undefined;
	private due: Millis = Number.POSITIVE_INFINITY;
	private turn = 0;
	private closed = false;

	constructor(options: ReconcileOptions) {
		const { store, room, fetcher, isPlayed, onRemoved, neighbours, log } =
			options;
		this.options = options;
		this.lookout = new Lookout(options);
		this.tidy = new Tidy({
			store,
			mayRemove: options.mayRemove,
			isWanted: (id) =>
				this.desire.has(id) || isPlayed(id) || fetcher.isFetching(id),
			onRemoved: (id) => {
				room.forget(id);
				onRemoved(id);
			},
			log,
		});
		this.watches = new Watches((id) => neighbours.watch(id));
		this.relief = new Relief({
			...{ store, room, log },
			rankOf: (id, shard) => this.rankOf(id, shard),
			onDrop: (id, shard) => {
				const gone = keyOf(id, shard);
				this.underway.stop("its room is needed", (key) => key === gone);
			},
		});
		this.endNews = neighbours.onNews((id) => {
			if (this.watches.has(id)) this.look(SOON);
		});
		this.sweeping = setInterval(() => this.tidy.sweep(this.purged), SWEEP);
		this.sweeping.unref();
	}

	/** A new placement, whole. */
	place(titles: readonly PlacedTitle[]): void {
		this.titles = titles;
		this.rearrange();
	}

	/** Titles that are to be on no box any more. */
	purge(titles: readonly TitleId[]): void {
		this.purged = new Set(titles);
		this.rearrange();
		this.tidy.sweep(this.purged);
	}

	/** Whether a shard is placed on this box, or anything of the title. */
	isPlaced(id: TitleId, shard?: number): boolean {
		return this.desire.has(id, shard);
	}

	/** What may be begun, or go on, is something else than a moment ago; what is stopped goes on later where it was. */
	reconsider(): void {
		const { isOpen } = this.options;
		this.underway.stop(
			"not now",
			(_, step) =>
				step.kind === "fetch-shard" &&
				!isOpen(step.origin ? "origin" : "neighbours"),
		);
		this.look(0);
	}

	/** Whether anything is being fetched. */
	get isBusy(): boolean {
		return this.underway.size > 0;
	}

	/** There is more room, or less. */
	roomChanged(): void {
		this.relief.look();
		this.look(0);
	}

	async close(): Promise<void> {
		this.closed = true;
		this.endNews();
		clearTimeout(this.timer);
		clearInterval(this.sweeping);
		await this.underway.close();
		this.watches.set([]);
	}

	private rankOf(id: TitleId, shard: number): number {
		const otherwise = this.purged.has(id) ? Number.POSITIVE_INFINITY : -1;
		return this.desire.rankOf(id, shard) ?? otherwise;
	}

	private rearrange(): void {
		this.desire = new Desire(this.titles ?? [], this.purged);
		const isWanted = (key: string) => {
			const [id, shard] = key.split("/");
			const index = shard === undefined ? undefined : Number(shard);
			return this.desire.has(id as TitleId, index);
		};
		this.underway.stop("no longer placed", (key) => !isWanted(key));
		this.failures.keep(isWanted);
		this.lookout.keep(isWanted);
		this.options.room.recount();
		this.look(0);
	}

	/** Looks again within so long. */
	private look(within: Millis): void {
		const due = monotonic() + within;
		if (this.closed || due >= this.due) return;
		this.due = due;
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.round(), within);
	}

	private round(): void {
		this.due = Number.POSITIVE_INFINITY;
		this.relief.look();
		// Before the first placement is known, everything on disk would look as if nobody wanted it.
		if (this.titles !== undefined) {
			const { store, room, neighbours, onProgress } = this.options;
			room.trim();
			const plan = planFill({
				placed: this.desire.view(store),
				room: store.placedRoom,
				free: this.freeLanes(),
				look: LOOK,
				outlook: (id, shard) => this.outlook(id, shard),
				holders: (id, shard) => neighbours.candidates(id, shard).length,
			});
			this.watch(plan);
			this.dial(plan);
			for (const step of plan.steps) this.begin(step);
			onProgress({ plan, trouble: this.failures.trouble });
		}
		this.look(Math.min(ROUND, Math.max(SOON, this.lookout.soonest())));
	}

	private freeLanes(): Lanes {
		let { manifests, origin, neighbours } = LANES;
		const { mayFill, isOpen } = this.options;
		if (!mayFill() || !isOpen("origin")) origin = 0;
		if (!mayFill() || !isOpen("neighbours")) neighbours = 0;
		for (const step of this.underway.steps) {
			if (step.kind === "fetch-manifest") manifests--;
			else if (step.kind === "fetch-shard" && step.origin) origin--;
			else if (step.kind === "fetch-shard") neighbours--;
		}
		return { manifests, origin, neighbours };
	}

	private outlook(id: TitleId, shard?: WantedShard): Outlook {
		const key = keyOf(id, shard?.shard);
		if (this.underway.has(key)) return "running";
		if (this.failures.rests(key, monotonic())) return "resting";
		return shard === undefined ? "due" : this.lookout.look(id, shard);
	}

	/** Neighbours are asked about titles of which something is still to be fetched, and no others. */
	private watch({ steps, waiting }: FillPlan): void {
		const all = [...this.underway.steps, ...steps, ...waiting];
		this.watches.set(all.map(({ title }) => title));
	}

	/** A few each round, in turn: those who hold what is waited for may not be connected. */
	private dial({ waiting }: FillPlan): void {
		for (let i = 0; i < Math.min(DIALLED, waiting.length); i++) {
			const next = waiting[this.turn++ % waiting.length];
			if (next !== undefined) {
				this.options.holders.dial(next.title, next.shard);
			}
		}
	}

	private begin(step: FillStep): void {
		const key = keyOf(step.title, "shard" in step ? step.shard : undefined);
		if (this.closed || this.underway.has(key)) return;
		if (step.kind === "fetch-shard" && step.origin && step.rank > 0) {
			const { title, shard, rank } = step;
			this.options.log.info(
				{ title, shard, rank },
				"nobody before this box brings a shard: the origin is asked",
			);
		}
		void this.underway
			.begin(step, (signal) => this.carryOut(key, step, signal))
			.then(() => this.look(0));
	}

	/** Never rejects. */
	private async carryOut(
		key: string,
		step: FillStep,
		signal: AbortSignal,
	): Promise<void> {
		const before = this.blocksOf(step);
		try {
			await execute(step, this.options, signal);
			this.failures.clear(key);
			if (step.kind === "fetch-shard" && !step.origin)
				this.lookout.asked(key, this.blocksOf(step) > before);
		} catch (error) {
			if (!signal.aborted) this.failed(key, step, error);
		}
	}

	/** How much of what a step fetches is on the disk, in blocks. */
	private blocksOf(step: FillStep): number {
		const inventory = this.options.store.inventory(step.title);
		if (step.kind !== "fetch-shard" || inventory === undefined) return 0;
		const { shard } = step;
		if (inventory.held.has(shard)) return Number.POSITIVE_INFINITY;
		const part = inventory.partial.find((each) => each.shard === shard);
		return part?.blocks.count ?? 0;
	}

	private failed(key: string, { kind, title }: FillStep, error: unknown): void {
		this.failures.note(key, error, monotonic());
		this.options.log.warn(
			{ err: error, step: kind, title },
			"a fill step failed",
		);
	}
}
