import type { Log } from "../base/log.ts";
import { monotonic } from "../base/time.ts";
import type { Bytes } from "../base/units.ts";
import { shardFileBytes } from "../content/geometry.ts";
import type { TransientShard } from "../plan/evict.ts";
import { Transients } from "../plan/transients.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Neighbours, Store } from "./ports.ts";

export interface RoomPorts {
	readonly store: Store;
	/** Whether a shard stays whatever is watched. */
	readonly isPlaced: (id: TitleId, shard: number) => boolean;
	readonly copies: Neighbours["copies"];
	readonly log: Log;
}

/**
 * The streaming share: which shards are on disk only because somebody watched. Placed shards are never touched here.
 * Single owner of eviction. Invariant: once it was counted, `transients` has the transient shards that are on disk or about
 * to be, each with the bytes of its whole file. Looking the disk through is for changes of the placement only; what making
 * room costs follows from how much has to go, not from how much there is.
 */
export class Room {
	private readonly ports: RoomPorts;
	private readonly transients = new Transients();
	private counted = false;
	private readonly users = new Map<string, number>();
	private removing: Promise<void> = Promise.resolve();

	constructor(ports: RoomPorts) {
		this.ports = ports;
	}

	/** Bytes of transient shards, partial ones counted whole. */
	get bytes(): Bytes {
		return this.book().bytes;
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
			if (!this.isOnDisk(id, shard)) this.book().delete(id, shard);
		};
	}

	/** A viewer reads of it. */
	touch(id: TitleId, shard: number): void {
		this.book().read(id, shard, monotonic());
		this.hear(id, shard);
	}

	/** A neighbour was given some of a title: where it is wanted once, it is wanted again. */
	gave(id: TitleId): void {
		this.book().gave(id, monotonic());
	}

	/** Makes room for a shard that is watched, of `bytes` in all. False when the streaming share cannot take it. */
	make(id: TitleId, shard: number, bytes: Bytes): boolean {
		if (this.ports.isPlaced(id, shard) || this.book().has(id, shard)) {
			return true;
		}
		const { going, enough } = this.plan(bytes);
		if (!enough) return false;
		this.evict(going);
		this.add(id, shard, bytes);
		return true;
	}

	/** As `make`, for a shard that nobody asked for: whatever is there stays. */
	find(id: TitleId, shard: number, bytes: Bytes): boolean {
		if (this.ports.isPlaced(id, shard) || this.book().has(id, shard)) {
			return true;
		}
		if (this.above(bytes) > 0) return false;
		this.add(id, shard, bytes);
		return true;
	}

	/** Evicts what is above the share: shards that are no longer placed, or a share that became smaller. */
	trim(): void {
		this.evict(this.plan(0).going);
	}

	/** Evicts so much now, or all that nobody fetches or plays; off the disk once it is `settled`. */
	giveBack(bytes: Bytes): void {
		this.evict(this.pick(bytes).going);
	}

	/** A title is off the disk. */
	forget(title: TitleId): void {
		this.transients.forget(title, (shard) =>
			this.users.has(keyOf(title, shard)),
		);
	}

	/** The placement changed: looks the disk through. */
	recount(): void {
		this.counted = true;
		const { isPlaced } = this.ports;
		const found = this.onDisk();
		for (const { title, shard } of [...this.transients]) {
			const key = keyOf(title, shard);
			const stays = this.users.has(key)
				? !isPlaced(title, shard)
				: found.has(key);
			if (!stays) this.transients.delete(title, shard);
		}
		for (const { title, shard, bytes } of found.values()) {
			this.transients.add(title, shard, bytes);
		}
	}

	private add(id: TitleId, shard: number, bytes: Bytes): void {
		this.book().add(id, shard, bytes);
		this.hear(id, shard);
	}

	/** What neighbours say of it, while they are asked. */
	private hear(id: TitleId, shard: number): void {
		const copies = this.ports.copies(id, shard);
		if (copies !== undefined) this.book().told(id, shard, copies);
	}

	private plan(bytes: Bytes) {
		return this.pick(this.above(bytes));
	}

	/** What has to go so that so much more has room. The share is less while placed shards take of it because others took of the disk. */
	private above(bytes: Bytes): Bytes {
		const { streamingRoom, excess } = this.ports.store;
		const above = this.book().bytes + bytes - streamingRoom;
		return Math.max(above, excess + bytes);
	}

	private pick(excess: Bytes) {
		return this.book().plan(excess, monotonic(), ({ title, shard }) =>
			this.users.has(keyOf(title, shard)),
		);
	}

	private evict(going: readonly TransientShard[]): void {
		if (going.length === 0) return;
		for (const { title, shard } of going) this.book().delete(title, shard);
		this.removing = this.removing.then(async () => {
			for (const { title, shard } of going) await this.remove(title, shard);
		});
	}

	private async remove(title: TitleId, shard: number): Promise<void> {
		const { store, log } = this.ports;
		try {
			await store.removeShard(title, shard);
			log.debug({ shard }, "evicted");
		} catch (error) {
			log.error({ err: error, shard }, "a shard was not evicted");
		}
	}

	private isOnDisk(id: TitleId, shard: number): boolean {
		const inventory = this.ports.store.inventory(id);
		if (inventory === undefined) return false;
		const { held, partial } = inventory;
		return held.has(shard) || partial.some((part) => part.shard === shard);
	}

	private book(): Transients {
		if (!this.counted) this.recount();
		return this.transients;
	}

	/** In order, so that what lies before a shard is known first. */
	private onDisk() {
		const { store, isPlaced } = this.ports;
		const found = new Map<string, Omit<TransientShard, "depth">>();
		for (const title of store.titles()) {
			const inventory = store.inventory(title);
			if (inventory === undefined) continue;
			const { geometry, held, partial } = inventory;
			const shards = [...held, ...partial.map((part) => part.shard)];
			for (const shard of shards.sort((a, b) => a - b)) {
				if (isPlaced(title, shard)) continue;
				const bytes = shardFileBytes(geometry, shard);
				found.set(keyOf(title, shard), { title, shard, bytes });
			}
		}
		return found;
	}
}

function keyOf(id: TitleId, shard: number): string {
	return `${id}/${shard}`;
}
