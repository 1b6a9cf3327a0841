import { Bitfield } from "../content/bitfield.ts";
import { MAX_SHARD_BLOCKS } from "../content/geometry.ts";
import {
	type Holding,
	type HoldingDelta,
	MAX_PARTIALS,
	MAX_SHARDS,
} from "../wire/inventory.ts";

/** `has` answers true for every block that a shard may have. */
const WHOLE = new Bitfield(MAX_SHARD_BLOCKS);
for (let block = 0; block < WHOLE.length; block++) WHOLE.add(block);

/**
 * What one neighbour has told of one title. Nothing of it is believed beyond whom to ask.
 * Invariant: it takes at most MAX_SHARDS bits and MAX_PARTIALS bitmaps of MAX_SHARD_BLOCKS bits.
 */
export class Told {
	private shards = new Bitfield(0);
	private readonly partial = new Map<number, Bitfield>();

	get isAny(): boolean {
		return this.shards.count > 0 || this.partial.size > 0;
	}

	blocks(shard: number): Bitfield | undefined {
		return this.shards.has(shard) ? WHOLE : this.partial.get(shard);
	}

	/** False when no honest neighbour would have sent it. */
	all({ shards, partial }: Holding): boolean {
		if (shards.length > MAX_SHARDS / 8) return false;
		this.shards = new Bitfield(shards.length * 8, shards);
		this.partial.clear();
		return partial.every(({ shard, blocks }) => this.keep(shard, blocks));
	}

	/** False when no honest neighbour would have sent it. */
	change({ shard, held, blocks }: HoldingDelta): boolean {
		if (shard >= MAX_SHARDS) return false;
		this.forget(shard);
		if (!held) return blocks.length === 0 || this.keep(shard, blocks);
		if (shard >= this.shards.length) {
			// Beyond what the first answer covered: it held nothing then.
			const length = Math.max(shard + 1, 2 * this.shards.length);
			this.shards = new Bitfield(length, this.shards.bytes);
		}
		this.shards.add(shard);
		return true;
	}

	/** It does not give what it said it has. */
	forget(shard: number): void {
		this.partial.delete(shard);
		this.shards.delete(shard);
	}

	private keep(shard: number, blocks: Uint8Array): boolean {
		if (shard >= MAX_SHARDS || blocks.length > MAX_SHARD_BLOCKS / 8) {
			return false;
		}
		if (this.partial.size < MAX_PARTIALS || this.partial.has(shard)) {
			this.partial.set(shard, new Bitfield(blocks.length * 8, blocks));
		}
		return true;
	}
}
