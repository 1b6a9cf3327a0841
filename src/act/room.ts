import type { Log } from "../base/log.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { runBytes, shardFileBytes } from "../content/geometry.ts";
import { planEviction, type TransientShard } from "../plan/evict.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { Store } from "./ports.ts";

/**
 * The streaming share: which shards on disk are there only because somebody watched, and when they were last read.
 * Placed shards are never touched here.
 */
export class Room {
	private readonly store: Store;
	private readonly log: Log;
	private readonly isPlaced: (id: TitleId, shard: number) => boolean;
	private readonly lastRead = new Map<string, Millis>();
	private evicting: Promise<boolean> | undefined;

	constructor(
		store: Store,
		isPlaced: (id: TitleId, shard: number) => boolean,
		log: Log,
	) {
		this.store = store;
		this.isPlaced = isPlaced;
		this.log = log;
	}

	touch(id: TitleId, shard: number): void {
		this.lastRead.set(`${id}/${shard}`, Date.now());
	}

	/** Makes room for `bytes` more of what is watched. False when the streaming share cannot take them. */
	async make(bytes: Bytes): Promise<boolean> {
		while (this.evicting !== undefined) await this.evicting;
		this.evicting = this.evict(bytes);
		try {
			return await this.evicting;
		} finally {
			this.evicting = undefined;
		}
	}

	/** Bytes of transient shards on disk. */
	async transientBytes(): Promise<Bytes> {
		const shards = await this.transient();
		return shards.reduce((sum, { bytes }) => sum + bytes, 0);
	}

	private async evict(bytes: Bytes): Promise<boolean> {
		const shards = await this.transient();
		const going = planEviction(shards, bytes, this.store.streamingShare);
		if (going === undefined) return false;
		for (const { title, shard } of going) {
			await this.store.removeShard(title, shard);
			this.lastRead.delete(`${title}/${shard}`);
			this.log.debug({ title: short(title), shard }, "evicted");
		}
		return true;
	}

	private async transient(): Promise<TransientShard[]> {
		const shards: TransientShard[] = [];
		for (const title of this.store.titles()) {
			const inventory = this.store.inventory(title);
			const manifest = await this.store.manifest(title);
			if (inventory === undefined || manifest === undefined) continue;
			const add = (shard: number, bytes: Bytes) => {
				if (this.isPlaced(title, shard)) return;
				const lastRead = this.lastRead.get(`${title}/${shard}`) ?? 0;
				shards.push({ title, shard, bytes, lastRead });
			};
			for (const shard of inventory.held) {
				add(shard, shardFileBytes(manifest, shard));
			}
			for (const { shard, blocks } of inventory.partial) {
				let bytes = 0;
				for (const first of blocks) {
					bytes += runBytes(manifest, { shard, first, count: 1 });
				}
				add(shard, bytes);
			}
		}
		return shards;
	}
}
