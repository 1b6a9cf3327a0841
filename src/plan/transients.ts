import { MINUTE } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";
import { Demand } from "./demand.ts";
import { type Eviction, planEviction, type TransientShard } from "./evict.ts";
import { Pool } from "./pool.ts";

/** Who read there no longer ago than this is still there, and may read on: nobody pauses a film for long. */
const WATCHING: Millis = 5 * MINUTE;
/** So many shards that are missing before one do not make it a beginning: they may be placed here, and so not transient. */
const GAP = 4;

interface Kept extends TransientShard {
	/** A viewer is here or about to be until then. */
	watchedUntil: Millis;
}

/**
 * The transient shards, and which of them go first: those that a neighbour holds as well before those that are, as far as is
 * known, the last in the region; among either the ones worth least.
 * Invariants: a shard is in one of `copied` and `last`; `bytes` is the sum of all. Time is that of one monotonic clock.
 */
export class Transients {
	bytes: Bytes = 0;
	private readonly titles = new Map<TitleId, Map<number, Kept>>();
	private readonly copied: Pool<Kept>;
	private readonly last: Pool<Kept>;
	private readonly demand = new Demand();

	/** @param random in [0, 1) */
	constructor(random: () => number = Math.random) {
		this.copied = new Pool(random);
		this.last = new Pool(random);
	}

	*[Symbol.iterator](): Generator<TransientShard> {
		for (const shards of this.titles.values()) yield* shards.values();
	}

	has(title: TitleId, shard: number): boolean {
		return this.get(title, shard) !== undefined;
	}

	/** It is on disk or about to be, and nobody else is known to have it. */
	add(title: TitleId, shard: number, bytes: Bytes): void {
		if (this.has(title, shard)) return;
		const depth = this.depthOf(title, shard);
		const kept = { title, shard, bytes, depth, watchedUntil: 0 };
		const shards = this.titles.get(title) ?? new Map<number, Kept>();
		this.titles.set(title, shards.set(shard, kept));
		this.last.add(kept);
		this.bytes += bytes;
	}

	delete(title: TitleId, shard: number): void {
		const kept = this.get(title, shard);
		const shards = this.titles.get(title);
		if (kept === undefined || shards === undefined) return;
		this.bytes -= kept.bytes;
		this.copied.delete(kept);
		this.last.delete(kept);
		shards.delete(shard);
		if (shards.size === 0) this.titles.delete(title);
	}

	/** All of a title, but for shards that stay. */
	forget(title: TitleId, stays: (shard: number) => boolean): void {
		for (const shard of [...(this.titles.get(title)?.keys() ?? [])])
			if (!stays(shard)) this.delete(title, shard);
	}

	/** A viewer reads a shard, transient or not, and is about to read the next. */
	read(title: TitleId, shard: number, now: Millis): void {
		this.demand.note(title, now);
		const [before, here, next] = [-1, 0, 1].map((step) =>
			this.get(title, shard + step),
		);
		if (before !== undefined) before.watchedUntil = now;
		if (here !== undefined) here.watchedUntil = now + WATCHING;
		if (next !== undefined) next.watchedUntil = now + WATCHING;
	}

	/** A neighbour was given some of a title. */
	gave(title: TitleId, now: Millis): void {
		if (this.titles.has(title)) this.demand.note(title, now);
	}

	/** So many neighbours hold a shard. */
	told(title: TitleId, shard: number, copies: number): void {
		const kept = this.get(title, shard);
		if (kept === undefined) return;
		const [here, elsewhere] =
			copies > 0 ? [this.copied, this.last] : [this.last, this.copied];
		elsewhere.delete(kept);
		here.add(kept);
	}

	/** What would have to go so that `excess` bytes are freed. */
	plan(
		excess: Bytes,
		now: Millis,
		isInUse: (shard: TransientShard) => boolean,
	): Eviction<TransientShard> {
		return planEviction(
			{
				groups: [this.copied, this.last],
				stays: (shard) => shard.watchedUntil > now || isInUse(shard),
				playsOf: (title) => this.demand.of(title, now),
			},
			excess,
		);
	}

	private get(title: TitleId, shard: number): Kept | undefined {
		return this.titles.get(title)?.get(shard);
	}

	/** Where its bytes lie is not when they are played (renditions lie one after the other): what was here before it tells. */
	private depthOf(title: TitleId, shard: number): Bytes {
		for (let gap = 1; gap <= GAP; gap++) {
			const before = this.get(title, shard - gap);
			if (before !== undefined) return before.depth + gap * before.bytes;
		}
		return 0;
	}
}
