import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { shardFileBytes } from "../content/geometry.ts";
import {
	type FillPlan,
	type FillStep,
	type PlacedView,
	planFill,
} from "../plan/fill.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { PlacementBody } from "../wire/placement.ts";
import { decodeRanges } from "../wire/ranges.ts";
import type { Fetcher } from "./fetcher.ts";
import { findManifest, type ManifestPorts } from "./library.ts";
import type { Store } from "./ports.ts";

/** Shards fetched at a time. */
const PARALLEL = 8;
/** The disk is looked at anew at least this often. */
const ROUND: Millis = 5 * SECOND;
/** A step that failed is not tried again before. */
const AGAIN: Millis = 2 * SECOND;

export interface Progress {
	readonly plan: FillPlan;
	/** The last failure of a step that is still to be done. */
	readonly trouble:
		| { readonly code: string; readonly detail: string }
		| undefined;
}

export interface ReconcileOptions extends ManifestPorts {
	readonly fetcher: Fetcher;
	readonly onProgress: (progress: Progress) => void;
	readonly log: Log;
}

/**
 * Brings the disk to what is desired: observe, plan, act, observe again. It never believes a step's own claim.
 * Single owner of the running fill steps.
 */
export class Reconciler {
	private readonly options: ReconcileOptions;
	private readonly stop = new AbortController();
	private readonly running = new Map<string, AbortController>();
	private readonly failed = new Map<string, Millis>();
	private readonly watches = new Map<TitleId, () => void>();
	private desired: PlacementBody = { titles: [] };
	private placed = new Map<TitleId, Map<number, number>>();
	private trouble: Progress["trouble"];
	private timer: NodeJS.Timeout | undefined;
	private observing: Promise<void> | undefined;
	private again = false;

	constructor(options: ReconcileOptions) {
		this.options = options;
	}

	/** A new placement, whole. */
	desire(body: PlacementBody): void {
		this.desired = body;
		this.placed = new Map(
			body.titles.map(({ id, ranks }) => [
				id,
				new Map(
					ranks.flatMap(({ rank, shards }) =>
						decodeRanges(shards, 1_000_000).map((shard): [number, number] => [
							shard,
							rank,
						]),
					),
				),
			]),
		);
		for (const [key, step] of this.running) {
			const [id = "", shard = ""] = key.split("/");
			const kept = this.placed.get(id as TitleId)?.has(Number(shard));
			if (!kept && shard !== "") step.abort(new DOMException("", "AbortError"));
		}
		this.trouble = undefined;
		this.round();
	}

	isPlaced(id: TitleId, shard: number): boolean {
		return this.placed.get(id)?.has(shard) ?? false;
	}

	/** Something changed: look again soon. */
	round(): void {
		if (this.stop.signal.aborted) return;
		if (this.observing !== undefined) {
			this.again = true;
			return;
		}
		clearTimeout(this.timer);
		this.observing = this.observe()
			.catch((error: unknown) => {
				this.options.log.error({ err: error }, "a round failed");
				this.note(error);
			})
			.finally(() => {
				this.observing = undefined;
				if (this.stop.signal.aborted) return;
				if (this.again) {
					this.again = false;
					this.round();
				} else this.timer = setTimeout(() => this.round(), ROUND);
			});
	}

	async close(): Promise<void> {
		this.stop.abort(new DOMException("closing", "AbortError"));
		clearTimeout(this.timer);
		for (const step of this.running.values()) {
			step.abort(this.stop.signal.reason);
		}
		await this.observing;
		for (const unwatch of this.watches.values()) unwatch();
	}

	private async observe(): Promise<void> {
		const { store, onProgress } = this.options;
		const views: PlacedView[] = [];
		for (const { id } of this.desired.titles) views.push(await this.view(id));
		const room = store.capacity - store.streamingShare;
		const plan = planFill({ placed: views, room, parallel: PARALLEL });
		this.watch(plan);
		for (const step of plan.steps) this.act(step);
		if (plan.phase === "applied") this.trouble = undefined;
		onProgress({ plan, trouble: this.trouble });
	}

	private async view(id: TitleId): Promise<PlacedView> {
		const { store } = this.options;
		const manifest = await store.manifest(id);
		if (manifest === undefined)
			return { id, shards: undefined, held: undefined };
		const shards: { shard: number; rank: number; bytes: Bytes }[] = [];
		for (const [shard, rank] of this.placed.get(id) ?? []) {
			if (shard >= manifest.shards.length) continue;
			shards.push({ shard, rank, bytes: shardFileBytes(manifest, shard) });
		}
		return { id, shards, held: store.inventory(id)?.held };
	}

	/** Neighbours are asked about titles of which something is still to be fetched, and no others. */
	private watch(plan: FillPlan): void {
		const wanted = new Set(plan.steps.map((step) => step.title));
		for (const [id, unwatch] of this.watches) {
			if (wanted.has(id)) continue;
			unwatch();
			this.watches.delete(id);
		}
		for (const id of wanted) {
			if (this.watches.has(id)) continue;
			this.watches.set(id, this.options.neighbours.watch(id));
		}
	}

	private act(step: FillStep): void {
		const key =
			step.kind === "fetch-shard" ? `${step.title}/${step.shard}` : step.title;
		if (this.running.has(key) || this.running.size >= PARALLEL) return;
		if (Date.now() - (this.failed.get(key) ?? 0) < AGAIN) return;
		const own = new AbortController();
		this.running.set(key, own);
		this.execute(step, own.signal)
			.then(
				() => {
					this.failed.delete(key);
				},
				(error: unknown) => {
					if (own.signal.aborted) return;
					this.failed.set(key, Date.now());
					this.note(error);
					this.options.log.warn(
						{ err: error, step: step.kind, title: short(step.title) },
						"a fill step failed",
					);
				},
			)
			.finally(() => {
				this.running.delete(key);
				this.round();
			});
	}

	private async execute(step: FillStep, signal: AbortSignal): Promise<void> {
		switch (step.kind) {
			case "fetch-manifest":
				await findManifest(step.title, this.options, signal);
				return;
			case "fetch-shard": {
				const manifest = await this.options.store.manifest(step.title);
				if (manifest === undefined) return;
				const { title, shard, rank } = step;
				await this.options.fetcher.fill(title, manifest, shard, rank, signal);
				return;
			}
			default:
				step satisfies never;
		}
	}

	private note(error: unknown): void {
		const code = error instanceof LarderError ? error.code : "COMMAND_FAILED";
		this.trouble = { code, detail: describe(error) };
	}
}

/** Bytes and shards of each placed title, for the fill report. */
export function heldOf(
	store: Store,
	placed: PlacementBody,
): { id: TitleId; placed: number; held: number; bytes: Bytes }[] {
	return placed.titles.map(({ id, ranks }) => {
		const inventory = store.inventory(id);
		let total = 0;
		let held = 0;
		for (const { shards } of ranks) {
			for (const shard of decodeRanges(shards, 1_000_000)) {
				total++;
				if (inventory?.held.has(shard)) held++;
			}
		}
		return { id, placed: total, held, bytes: inventory?.bytes ?? 0 };
	});
}
