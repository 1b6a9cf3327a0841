import { monotonic } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { blocksIn } from "../../content/geometry.ts";
import type { Outlook, WantedShard } from "../../plan/fill.ts";
import { originPatience, WITHHELD } from "../../plan/source.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { HolderBook, Neighbours, Store } from "../ports.ts";
import { keyOf } from "./underway.ts";

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
	/** Shards of which nobody has had any: since when with nobody to wait for or with somebody, and when it will have been for too long. */
	private readonly waiting = new Map<
		string,
		{
			readonly since: Millis;
			readonly isAwaited: boolean;
			readonly due: Millis;
		}
	>();

	/** Shards that neighbours were asked for in vain: since when, without a block in between. */
	private readonly withheld = new Map<string, Millis>();

	constructor(ports: OutlookPorts) {
		this.ports = ports;
	}

	/** Neighbours were asked for a shard. @param brought whether any block of it came */
	asked(key: string, brought: boolean): void {
		if (brought) this.withheld.delete(key);
		else if (!this.withheld.has(key)) this.withheld.set(key, monotonic());
	}

	look(id: TitleId, { shard, rank }: WantedShard): Outlook {
		// Rank 0 asks the origin at once, unless a neighbour turns out to hold it.
		if (rank === 0) return "due";
		const key = keyOf(id, shard);
		const withheld = this.withheld.get(key);
		if (withheld !== undefined && monotonic() >= withheld + rank * WITHHELD)
			return "due";
		if (this.isHere(id, shard)) {
			this.waiting.delete(key);
			return "here";
		}
		const { holders, neighbours, takeover } = this.ports;
		const now = monotonic();
		// Who is before this box stands in a table that a crowded trunk brings late: as long as nobody knows, nobody is dead.
		const before = holders.before(id, shard, rank);
		const isAwaited =
			before === undefined || before.some((box) => neighbours.isConnected(box));
		const known = this.waiting.get(key);
		// Once whoever was waited for is gone, each rank has its turn from then on: else all would come at once.
		const since = known?.isAwaited === isAwaited ? known.since : now;
		const due = since + originPatience(rank, takeover, isAwaited);
		this.waiting.set(key, { since, isAwaited, due });
		return now >= due ? "due" : "waiting";
	}

	/** How long until the next of those that wait is due; Infinity when none waits. */
	soonest(): Millis {
		const now = monotonic();
		let soonest = Number.POSITIVE_INFINITY;
		for (const { due } of this.waiting.values()) {
			if (due > now) soonest = Math.min(soonest, due - now);
		}
		return soonest;
	}

	/** Forgets what is not wanted any more. */
	keep(isWanted: (key: string) => boolean): void {
		for (const keys of [this.waiting, this.withheld])
			for (const key of keys.keys()) if (!isWanted(key)) keys.delete(key);
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
