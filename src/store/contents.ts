import type { PartialShard } from "../act/ports.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import { Bitfield } from "../content/bitfield.ts";
import {
	type Geometry,
	shardCount,
	shardFileBytes,
} from "../content/geometry.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Books, Claim } from "./books.ts";
import type { Disk } from "./disk.ts";
import { Few } from "./few.ts";
import type { Resting } from "./resting.ts";
import type { Scan } from "./scan.ts";
import type { ShardFile } from "./shard.ts";

/** What a title's folder needs of the store that it lies in; one for all titles. */
export interface TitlePorts {
	readonly resting: Resting;
	readonly books: Books;
	readonly disk: Disk;
	readonly folderOf: (id: TitleId) => string;
	/** As in ShardPlace. */
	readonly hashesOf: (id: TitleId) => Promise<readonly string[]>;
	/** Something of this shard came or went. */
	readonly onChange: (id: TitleId, shard: number) => void;
	readonly log: Log;
}

/**
 * What is believed of one title's folder.
 * Invariants: a shard is in one of `unchecked`, `partial` and `held`, or is not here; `claim` counts all that are, as they will
 * be when they are whole, and those that could not be removed.
 */
export class Contents {
	readonly held: Bitfield;
	/** Left by an earlier run, with the bytes taken on disk; each is read through before it is used. */
	readonly unchecked = new Few<Bytes>();
	readonly partial = new Few<ShardFile>();
	/** Held shards that were used since the start. */
	readonly used = new Few<ShardFile>();
	readonly claim: Claim;
	private readonly geometry: Geometry;
	/** Not here any more, though their files are: the disk did not remove them. */
	private readonly stuck = new Few<true>();

	constructor({ geometry, shards, beside }: Scan, books: Books) {
		this.geometry = geometry;
		this.claim = books.claim(beside);
		this.held = new Bitfield(shardCount(geometry));
		for (const { shard, isPart, bytes } of shards) {
			this.claim.move(this.sizeOf(shard));
			if (isPart) this.unchecked.set(shard, bytes);
			else this.held.add(shard);
		}
	}

	has(shard: number): boolean {
		const { unchecked, partial, held } = this;
		return unchecked.has(shard) || partial.has(shard) || held.has(shard);
	}

	isStuck(shard: number): boolean {
		return this.stuck.has(shard);
	}

	get all(): readonly number[] {
		return [...this.unchecked.keys(), ...this.partial.keys(), ...this.held];
	}

	get partials(): PartialShard[] {
		return this.partial.entries().map(([shard, { have }]) => ({
			shard,
			blocks: have,
		}));
	}

	/** Bytes on disk, leaves included. */
	get bytes(): Bytes {
		let bytes = this.claim.shards;
		for (const [shard, file] of this.partial.entries()) {
			bytes -= this.sizeOf(shard) - file.bytes;
		}
		for (const [shard, taken] of this.unchecked.entries()) {
			bytes -= this.sizeOf(shard) - taken;
		}
		return bytes;
	}

	sizeOf(shard: number): Bytes {
		return shardFileBytes(this.geometry, shard);
	}

	/** The shard is here no more. It counts until `remove`, which removes its files, is done: what comes in its place would lie beside it. */
	async drop(shard: number, remove: () => Promise<void>): Promise<void> {
		const counted = this.has(shard) || this.stuck.has(shard);
		this.unchecked.delete(shard);
		this.partial.delete(shard);
		this.used.delete(shard);
		this.held.delete(shard);
		if (counted) this.stuck.set(shard, true);
		await remove();
		if (this.stuck.delete(shard)) this.claim.move(-this.sizeOf(shard));
	}
}
