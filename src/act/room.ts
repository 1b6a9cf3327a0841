import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import { shardFileBytes } from "../content/geometry.ts";
import { planEviction, type TransientShard } from "../plan/evict.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Store } from "./ports.ts";

type Entry = Omit<TransientShard, "inUse">;

/**
 * The streaming share: which shards are on disk only because somebody watched. Placed shards are never touched here.
 * Single owner of eviction. Invariants: `shards` has the transient shards that are on disk or about to be, least recently
 * read first, each with the bytes of its whole file; `bytes` is their sum. Looking the disk through is for changes of
 * the placement only; making room costs as much as it evicts.
 */
export class Room {
	private readonly store: Store;
	private readonly log: Log;
	private readonly isPlaced: (id: TitleId, shard: number) => boolean;
	private shards: Map<string, Entry> | undefined;
	private sum: Bytes = 0;
	private readonly users = new Map<string, number>();
	private removing: Promise<void> = Promise.resolve();

	constructor(
		store: Store,
		isPlaced: (id: TitleId, shard: number) => boolean,
		log: Log,
	) {
		this.store = store;
		this.isPlaced = isPlaced;
		this.log = log;
	}

	/** Bytes of transient shards, partial ones counted whole. */
	get bytes(): Bytes {
		this.book();
		return this.sum;
	}

	/** Resolves when everything that was evicted is off the disk. */
	get settled(): Promise<void> {
		return this.removing;
	}

	/** The shard is fetched or played until the function given back is called: it is not evicted. */
	use(id: TitleId, shard: number): () => void {
		const key = keyOf(id, shard);
		this.users.set(key, (this.users.get(key) ?? 0) + 1);
		let ended = false;
		return () => {
			if (ended) return;
			ended = true;
			const left = (this.users.get(key) ?? 1) - 1;
			if (left > 0) {
				this.users.set(key, left);
				return;
			}
			this.users.delete(key);
			if (!this.isOnDisk(id, shard)) this.strike(key);
		};
	}

	/** A viewer reads of it. */
	touch(id: TitleId, shard: number): void {
		const key = keyOf(id, shard);
		const entry = this.book().get(key);
		if (entry === undefined) return;
		this.book().delete(key);
		this.book().set(key, entry);
	}

	/** Makes room for a shard that is watched, of `bytes` in all. False when the streaming share cannot take it. */
	make(id: TitleId, shard: number, bytes: Bytes): boolean {
		const key = keyOf(id, shard);
		if (this.isPlaced(id, shard) || this.book().has(key)) return true;
		const eviction = this.plan(bytes);
		if (!eviction.enough) return false;
		this.evict(eviction.going);
		this.book().set(key, { title: id, shard, bytes });
		this.sum += bytes;
		return true;
	}

	/** Evicts what is above the share: shards that are no longer placed, or a share that became smaller. */
	trim(): void {
		this.evict(this.plan(0).going);
	}

	/** The placement changed, or titles were removed: looks the disk through when it is next needed. */
	recount(): void {
		const before = this.shards;
		this.shards = undefined;
		this.takeStock(before ?? new Map());
	}

	private plan(bytes: Bytes) {
		const shards = this.book().entries();
		const { users } = this;
		function* oldestFirst(): Generator<TransientShard> {
			for (const [key, entry] of shards) {
				yield { ...entry, inUse: users.has(key) };
			}
		}
		const limit = this.store.streamingShare;
		return planEviction(oldestFirst(), this.sum, bytes, limit);
	}

	private evict(going: readonly TransientShard[]): void {
		for (const { title, shard } of going) this.strike(keyOf(title, shard));
		if (going.length === 0) return;
		this.removing = this.removing.then(async () => {
			for (const { title, shard } of going) await this.remove(title, shard);
		});
	}

	private async remove(title: TitleId, shard: number): Promise<void> {
		try {
			await this.store.removeShard(title, shard);
			this.log.debug({ shard }, "evicted");
		} catch (error) {
			this.log.error({ err: error, shard }, "a shard was not evicted");
		}
	}

	private strike(key: string): void {
		const entry = this.book().get(key);
		if (entry === undefined) return;
		this.sum -= entry.bytes;
		this.book().delete(key);
	}

	private isOnDisk(id: TitleId, shard: number): boolean {
		const inventory = this.store.inventory(id);
		if (inventory === undefined) return false;
		const { held, partial } = inventory;
		return held.has(shard) || partial.some((part) => part.shard === shard);
	}

	private book(): Map<string, Entry> {
		return this.shards ?? this.takeStock(new Map());
	}

	/** Reads the disk. Shards that were known keep their place; others are as good as never read. */
	private takeStock(before: ReadonlyMap<string, Entry>): Map<string, Entry> {
		const found = new Map<string, Entry>();
		for (const title of this.store.titles()) {
			const inventory = this.store.inventory(title);
			if (inventory === undefined) continue;
			const { geometry, held, partial } = inventory;
			for (const shard of [...held, ...partial.map((part) => part.shard)]) {
				if (this.isPlaced(title, shard)) continue;
				const bytes = shardFileBytes(geometry, shard);
				found.set(keyOf(title, shard), { title, shard, bytes });
			}
		}
		const known = [...before].filter(([key, { title, shard }]) =>
			this.users.has(key) ? !this.isPlaced(title, shard) : found.has(key),
		);
		for (const [key, entry] of known) {
			found.delete(key);
			found.set(key, entry);
		}
		this.shards = found;
		this.sum = [...found.values()].reduce((sum, { bytes }) => sum + bytes, 0);
		return found;
	}
}

function keyOf(id: TitleId, shard: number): string {
	return `${id}/${shard}`;
}
