import { monotonic } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { blocksIn } from "../../content/geometry.ts";
import type { Outlook, WantedShard } from "../../plan/fill.ts";
import { originPatience } from "../../plan/source.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { HolderBook, Neighbours, Store } from "../ports.ts";

export interface OutlookPorts {
	readonly store: Store;
	readonly neighbours: Neighbours;
	readonly holders: HolderBook;
	/** How long each rank waits for those before it. */
	readonly takeover: Millis;
}

/** Says of missing shards whether a neighbour has some, and how long this box has waited for those before it in rank. */
export class Lookout {
	private readonly ports: OutlookPorts;
	/** Since when nobody has had any of a shard. */
	private readonly waiting = new Map<string, Millis>();

	constructor(ports: OutlookPorts) {
		this.ports = ports;
	}

	look(id: TitleId, { shard, rank }: WantedShard): Outlook {
		// Rank 0 asks the origin at once, unless a neighbour turns out to hold it.
		if (rank === 0) return "due";
		const key = `${id}/${shard}`;
		if (this.isHere(id, shard)) {
			this.waiting.delete(key);
			return "here";
		}
		const { holders, neighbours, takeover } = this.ports;
		const now = monotonic();
		const since = this.waiting.get(key) ?? now;
		this.waiting.set(key, since);
		const isAwaited = holders
			.before(id, shard, rank)
			.some((box) => neighbours.isConnected(box));
		const patience = originPatience(rank, takeover, isAwaited);
		return now - since >= patience ? "due" : "waiting";
	}

	/** Forgets what is not wanted any more. */
	keep(isWanted: (key: string) => boolean): void {
		for (const key of this.waiting.keys()) {
			if (!isWanted(key)) this.waiting.delete(key);
		}
	}

	/** Whether a neighbour has a block of it that this box has not. */
	private isHere(id: TitleId, shard: number): boolean {
		const { store, neighbours } = this.ports;
		const candidates = neighbours.candidates(id, shard);
		const inventory = store.inventory(id);
		if (candidates.length === 0 || inventory === undefined) return false;
		const blocks = blocksIn(inventory.geometry, shard);
		for (let block = 0; block < blocks; block++) {
			if (store.hasBlock(id, shard, block)) continue;
			if (candidates.some((one) => one.blocks.has(block))) return true;
		}
		return false;
	}
}
