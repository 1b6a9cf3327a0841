import type { Log } from "../../base/log.ts";
import type { Bytes } from "../../base/units.ts";
import { shardFileBytes } from "../../content/geometry.ts";
import { planRelief, type StandingShard } from "../../plan/relief.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Store } from "../ports.ts";
import type { Room } from "../room.ts";

export interface ReliefPorts {
	readonly store: Store;
	readonly room: Room;
	/** As in StandingShard. */
	readonly rankOf: (id: TitleId, shard: number) => number;
	/** It goes: nobody need fetch it now. */
	readonly onDrop: (id: TitleId, shard: number) => void;
	readonly log: Log;
}

/**
 * Gives the disk back what the store holds beyond its capacity, when others need room or the quota was lowered: what was only
 * watched first, then what was placed, in the order of least loss.
 * Invariant: one relief at a time, so that what is on its way out counts once.
 */
export class Relief {
	private readonly ports: ReliefPorts;
	private running = false;

	constructor(ports: ReliefPorts) {
		this.ports = ports;
	}

	/** Looks whether anything has to go. */
	look(): void {
		if (this.running || this.ports.store.excess <= 0) return;
		this.running = true;
		void this.relieve().finally(() => {
			this.running = false;
		});
	}

	/** Never rejects. Others may take more meanwhile; what could not be removed is tried again at the next look. */
	private async relieve(): Promise<void> {
		const { store, room, log } = this.ports;
		let before = Number.POSITIVE_INFINITY;
		while (store.excess > 0 && store.excess < before) {
			before = store.excess;
			room.giveBack(before);
			await room.settled;
			const going = planRelief(this.standing(), store.excess);
			await Promise.all(going.map((shard) => this.drop(shard)));
			const left = Math.max(0, store.excess);
			const gave = { excess: before, left, unplaced: going.length };
			if (left < before) log.info(gave, "gave room back to the disk");
		}
	}

	private standing(): StandingShard[] {
		const { store, rankOf } = this.ports;
		return store.titles().flatMap((title) => {
			const inventory = store.inventory(title);
			if (inventory === undefined) return [];
			const { geometry, held, partial } = inventory;
			const view = (shard: number, isWhole: boolean): StandingShard => {
				const bytes: Bytes = shardFileBytes(geometry, shard);
				return { title, shard, bytes, rank: rankOf(title, shard), isWhole };
			};
			return [
				...[...held].map((shard) => view(shard, true)),
				...partial.map(({ shard }) => view(shard, false)),
			];
		});
	}

	private async drop({ title, shard }: StandingShard): Promise<void> {
		const { store, onDrop, log } = this.ports;
		onDrop(title, shard);
		try {
			await store.removeShard(title, shard);
		} catch (error) {
			log.error({ err: error, shard }, "a shard was not given up");
		}
	}
}
