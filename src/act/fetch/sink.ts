import type { VerifiedBlock, VerifiedLeaves } from "../../content/verify.ts";
import type { Store } from "../ports.ts";
import type { Room } from "../room.ts";
import type { ShardPlace } from "./ask.ts";
import type { Backlog } from "./backlog.ts";
import type { Fetched } from "./wants.ts";

interface Write extends Fetched {
	readonly done: Promise<void>;
}

/**
 * Puts the blocks of one shard on disk as they come, each once, however many want it kept.
 * Invariant: `writes` has the blocks that have come to be kept and are not on disk yet.
 */
export class Sink {
	private readonly place: ShardPlace;
	private readonly store: Store;
	private readonly room: Room;
	private readonly backlog: Backlog;
	private readonly writes = new Map<number, Write>();

	constructor(place: ShardPlace, store: Store, room: Room, backlog: Backlog) {
		this.place = place;
		this.store = store;
		this.room = room;
		this.backlog = backlog;
	}

	/** A block that is just being written: nobody need fetch it again. */
	writing(block: number): Write | undefined {
		return this.writes.get(block);
	}

	/** Resolves when no write is under way. */
	async settled(): Promise<void> {
		while (this.writes.size > 0) {
			const writes = [...this.writes.values()];
			await Promise.allSettled(writes.map(({ done }) => done));
		}
	}

	/** Rejects with what the store says; may then be tried again. */
	put(leaves: VerifiedLeaves, block: number, got: Fetched): Promise<void> {
		const under = this.writes.get(block);
		if (under !== undefined) return under.done;
		const begun = this.write(leaves, block, got.bytes);
		const done = this.backlog
			.during(got.bytes.length, begun)
			.finally(() => this.writes.delete(block));
		this.writes.set(block, { ...got, done });
		return done;
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
