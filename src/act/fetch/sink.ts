import type { VerifiedBlock, VerifiedLeaves } from "../../content/verify.ts";
import type { Store } from "../ports.ts";
import type { Room } from "../room.ts";
import type { ShardPlace } from "./ask.ts";
import type { Backlog } from "./backlog.ts";

/** Puts the blocks of one shard on disk as they come, each once, however many want it kept. */
export class Sink {
	private readonly place: ShardPlace;
	private readonly store: Store;
	private readonly room: Room;
	private readonly backlog: Backlog;
	private readonly writes = new Map<number, Promise<void>>();

	constructor(place: ShardPlace, store: Store, room: Room, backlog: Backlog) {
		this.place = place;
		this.store = store;
		this.room = room;
		this.backlog = backlog;
	}

	/** Resolves when no write is under way. */
	async settled(): Promise<void> {
		await Promise.allSettled(this.writes.values());
	}

	/** Rejects with what the store says; may then be tried again. */
	put(
		leaves: VerifiedLeaves,
		block: number,
		bytes: VerifiedBlock,
	): Promise<void> {
		let write = this.writes.get(block);
		if (write === undefined) {
			const begun = this.write(leaves, block, bytes);
			write = this.backlog.during(bytes.length, begun);
			this.writes.set(block, write);
			write.catch(() => this.writes.delete(block));
		}
		return write;
	}

	private async write(
		leaves: VerifiedLeaves,
		block: number,
		bytes: VerifiedBlock,
	): Promise<void> {
		const { title, shard } = this.place;
		// The same shard may just be on its way out.
		await this.room.settled;
		await this.store.putLeaves(title, shard, leaves);
		await this.store.putBlock(title, shard, block, bytes);
	}
}
