import { LarderError } from "../base/errors.ts";
import { type Bytes, formatBytes } from "../base/units.ts";

/** What the store may take of the disk, and the part of that kept for what is watched without being placed. */
export interface StoreSize {
	readonly capacity: Bytes;
	readonly streamingShare: Bytes;
}

/**
 * What the store takes of the disk. Single owner of these sums.
 * Invariants: `shards` is what all shards that are here will take when they are whole, so that what is begun can be finished;
 * `manifests` is what lies beside them. Manifests come out of the streaming share: no placement knows of them.
 */
export class Books {
	private size: StoreSize;
	private shards: Bytes = 0;
	private manifests: Bytes = 0;

	constructor(size: StoreSize) {
		this.size = size;
	}

	get capacity(): Bytes {
		return this.size.capacity;
	}

	get streamingShare(): Bytes {
		return this.size.streamingShare;
	}

	/** From now on. What is above it stays until it is removed, and nothing is begun beside it. */
	resize(size: StoreSize): void {
		this.size = size;
	}

	/** What is taken besides shards. */
	get beside(): Bytes {
		return this.manifests;
	}

	/** Taken, or promised to what is begun. */
	get reserved(): Bytes {
		return this.shards + this.manifests;
	}

	/** What has to go to be within the capacity; below 0 there is room. */
	get excess(): Bytes {
		return this.reserved - this.capacity;
	}

	/** What placed shards may take. */
	get placedRoom(): Bytes {
		return this.capacity - Math.max(this.streamingShare, this.manifests);
	}

	/** What shards may take that are only watched, as long as the placed ones leave it. */
	get streamingRoom(): Bytes {
		return Math.max(0, this.streamingShare - this.manifests);
	}

	/** Room for another shard, or for a manifest that is not here yet. Throws STORE_FULL. */
	checkRoom(bytes: Bytes): void {
		if (this.excess + bytes <= 0) return;
		throw new LarderError(
			"STORE_FULL",
			`the ${formatBytes(this.capacity)} that Larder may take have no room for ${formatBytes(bytes)} more`,
		);
	}

	/** @param beside what a title takes besides its shards */
	claim(beside: Bytes): Claim {
		return new Claim(this.enter, beside);
	}

	/** One for all titles. */
	private readonly enter: Enter = (shards, beside) => {
		this.shards += shards;
		this.manifests += beside;
	};
}

type Enter = (shards: Bytes, beside: Bytes) => void;

/** What one title takes of the books. */
export class Claim {
	private readonly enter: Enter;
	private readonly beside: Bytes;
	private taken: Bytes = 0;
	private ended = false;

	constructor(enter: Enter, beside: Bytes) {
		this.enter = enter;
		this.beside = beside;
		enter(0, beside);
	}

	/** What its shards will take when they are whole. */
	get shards(): Bytes {
		return this.taken;
	}

	/** Shards came, or went when it is negative. */
	move(bytes: Bytes): void {
		if (this.ended) return;
		this.taken += bytes;
		this.enter(bytes, 0);
	}

	/** The title is off the disk: from now on nothing of it counts. */
	end(): void {
		if (this.ended) return;
		this.ended = true;
		this.enter(-this.taken, -this.beside);
	}
}
