import type { Bytes } from "../base/units.ts";

const NOBODY = -1;
/** A copy beside one that the box already has counts as this many more: striping against balance. */
const CROWDING = 4;

/**
 * Who holds what while a placement is planned: shards of all titles in one row, boxes by number, copies by rank.
 * Invariants: a shard's holders are distinct; `load[box]` is the sum of the sizes of its copies.
 */
export class Board {
	/** Bytes by shard, and the number of its title. */
	readonly sizes: Float64Array;
	readonly titleOf: Int32Array;
	/** Bytes by box: what it may hold at most, what would be fair, what it has. */
	readonly capacity: Float64Array;
	readonly share: Float64Array;
	readonly load: Float64Array;
	private readonly width: number;
	private readonly span: number;
	private readonly holders: Int32Array;
	private readonly counts: Uint8Array;
	/** How many holders of a shard, from rank 0 on, had it before this plan. */
	private readonly kept: Uint8Array;
	/** Boxes with copies near the shard that `lookAround` was last called for: valid where the stamp is current. */
	private readonly near: Int32Array;
	private readonly stamps: Int32Array;
	private stamp = 0;

	/**
	 * @param width the most holders a shard ever has
	 * @param span how many shards before and after one count as near
	 */
	constructor(
		shards: { readonly sizes: Float64Array; readonly titleOf: Int32Array },
		boxes: { readonly capacity: Float64Array; readonly share: Float64Array },
		width: number,
		span: number,
	) {
		this.sizes = shards.sizes;
		this.titleOf = shards.titleOf;
		this.capacity = boxes.capacity;
		this.share = boxes.share;
		this.width = width;
		this.span = span;
		this.load = new Float64Array(boxes.capacity.length);
		this.holders = new Int32Array(shards.sizes.length * width).fill(NOBODY);
		this.counts = new Uint8Array(shards.sizes.length);
		this.kept = new Uint8Array(shards.sizes.length);
		this.near = new Int32Array(boxes.capacity.length);
		this.stamps = new Int32Array(boxes.capacity.length);
	}

	get shards(): number {
		return this.sizes.length;
	}

	copies(shard: number): number {
		return this.counts[shard] ?? 0;
	}

	/** The box at a rank of a shard; -1 when there is none. */
	holder(shard: number, rank: number): number {
		return this.holders[shard * this.width + rank] ?? NOBODY;
	}

	holds(box: number, shard: number): boolean {
		for (let rank = this.copies(shard) - 1; rank >= 0; rank--)
			if (this.holder(shard, rank) === box) return true;
		return false;
	}

	fits(box: number, shard: number): boolean {
		return (
			(this.load[box] ?? 0) + (this.sizes[shard] ?? 0) <=
			(this.capacity[box] ?? 0)
		);
	}

	/** How full a box is, 1 being its fair share, once it has taken `more` bytes. */
	pressure(box: number, more: Bytes = 0): number {
		return ((this.load[box] ?? 0) + more) / (this.share[box] ?? 0);
	}

	/** Gives a shard another holder, at the last rank. */
	put(shard: number, box: number): void {
		this.holders[shard * this.width + this.copies(shard)] = box;
		this.counts[shard] = this.copies(shard) + 1;
		this.load[box] = (this.load[box] ?? 0) + (this.sizes[shard] ?? 0);
	}

	/** As `put`, for a box that has the copy from before. To be called before any `put` for that shard. */
	keep(shard: number, box: number): void {
		this.put(shard, box);
		this.kept[shard] = this.copies(shard);
	}

	/** Takes a copy away; later ranks move up. */
	drop(shard: number, rank: number): void {
		const first = shard * this.width;
		const box = this.holder(shard, rank);
		const count = this.copies(shard) - 1;
		this.holders.copyWithin(first + rank, first + rank + 1, first + count + 1);
		this.holders[first + count] = NOBODY;
		this.counts[shard] = count;
		const kept = this.kept[shard] ?? 0;
		if (rank < kept) this.kept[shard] = kept - 1;
		this.load[box] = (this.load[box] ?? 0) - (this.sizes[shard] ?? 0);
	}

	/** Whether nobody has this shard from before: then its ranks are free to choose. */
	isNew(shard: number): boolean {
		return this.kept[shard] === 0;
	}

	/** Puts the box at `rank` to rank 0 and the one there in its stead. */
	promote(shard: number, rank: number): void {
		const first = shard * this.width;
		const leader = this.holder(shard, 0);
		this.holders[first] = this.holder(shard, rank);
		this.holders[first + rank] = leader;
	}

	/** Notes who holds the shards around this one, for `crowding`. */
	lookAround(shard: number): void {
		this.stamp++;
		const title = this.titleOf[shard];
		for (let at = shard - this.span; at <= shard + this.span; at++) {
			if (at === shard || this.titleOf[at] !== title) continue;
			for (let rank = this.copies(at) - 1; rank >= 0; rank--) {
				const box = this.holder(at, rank);
				const seen = this.stamps[box] === this.stamp;
				this.near[box] = seen ? (this.near[box] ?? 0) + 1 : 1;
				this.stamps[box] = this.stamp;
			}
		}
	}

	/** How many copies a box has around the shard last looked around. */
	crowding(box: number): number {
		return this.stamps[box] === this.stamp ? (this.near[box] ?? 0) : 0;
	}

	/** What it would mean to give a box the shard last looked around: lower is better. */
	cost(box: number, shard: number): number {
		const size = this.sizes[shard] ?? 0;
		return this.pressure(box, size * (1 + CROWDING * this.crowding(box)));
	}
}
