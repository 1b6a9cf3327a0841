import type { TitleId } from "../wire/ids.ts";
import {
	type Holding,
	type HoldingDelta,
	MAX_PARTIALS,
} from "../wire/inventory.ts";
import type { IsShared } from "./shelf.ts";
import type { ShardStore } from "./store.ts";

const NOTHING = new Uint8Array(0);

/** What the disk holds, as neighbours are told. `isShared` leaves out shards that policy keeps to this box. */
export class SharedHoldings {
	private readonly store: ShardStore;
	private readonly isShared: IsShared;

	constructor(store: ShardStore, isShared: IsShared) {
		this.store = store;
		this.isShared = isShared;
	}

	holding(title: TitleId): Holding {
		const inventory = this.store.inventory(title);
		// A map of zeros would tell that the title was watched.
		if (inventory === undefined || !this.isShared(title)) {
			return { title, shards: NOTHING, partial: [] };
		}
		const shards = Uint8Array.from(inventory.held.bytes);
		for (const shard of inventory.held) {
			if (this.isShared(title, shard)) continue;
			shards[shard >> 3] = (shards[shard >> 3] ?? 0) & ~(1 << (shard & 7));
		}
		const partial = inventory.partial
			.filter(({ shard }) => this.isShared(title, shard))
			.slice(0, MAX_PARTIALS)
			.map(({ shard, blocks }) => ({ shard, blocks: blocks.bytes }));
		return { title, shards, partial };
	}

	change(title: TitleId, shard: number): HoldingDelta {
		const inventory = this.store.inventory(title);
		if (inventory === undefined || !this.isShared(title, shard)) {
			return { title, shard, held: false, blocks: NOTHING };
		}
		const partial = inventory.partial.find((part) => part.shard === shard);
		const blocks = partial?.blocks.bytes ?? NOTHING;
		return { title, shard, held: inventory.held.has(shard), blocks };
	}
}
