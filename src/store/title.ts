import type { PartialShard } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import { Bitfield } from "../content/bitfield.ts";
import {
	type BlockRun,
	type Geometry,
	shardCount,
	shardFileBytes,
} from "../content/geometry.ts";
import { shardHashOf } from "../content/hash.ts";
import type { VerifiedBlock, VerifiedLeaves } from "../content/verify.ts";
import { publishFile, syncFolder, unlinkIfThere } from "./files.ts";
import {
	finalPath,
	partPath,
	ShardDamaged,
	type ShardPlace,
} from "./opening.ts";
import { Closed, type Resting } from "./resting.ts";
import type { Scan } from "./scan.ts";
import { ShardFile } from "./shard.ts";
import { Turns } from "./turns.ts";

/** What a title's folder needs of the store that it lies in. */
export interface TitlePorts {
	readonly resting: Resting;
	/** Throws STORE_FULL when so many more bytes would go beyond the capacity. */
	readonly checkRoom: (bytes: Bytes) => void;
	/** Something of this shard came or went. */
	readonly onChange: (shard: number) => void;
	readonly log: Log;
}

/**
 * One title's folder. The folder is the truth; what is here mirrors it.
 * Invariants: a shard is in one of `unchecked`, `partial` and `held`, or is not on disk; `reserved` is what all that are will
 * take when they are whole. What changes where a shard belongs runs in the shard's turn; reads and writes of blocks do not.
 */
export class TitleFolder {
	readonly geometry: Geometry;
	readonly held: Bitfield;
	reserved: Bytes = 0;
	private readonly folder: string;
	private readonly ports: TitlePorts;
	/** The manifest's hashes of shards that are or were here: a box has few shards of very many titles. */
	private readonly hashes: string[] = [];
	/** Left by an earlier run, with the bytes taken on disk; each is read through before it is used. */
	private readonly unchecked = new Map<number, Bytes>();
	private readonly partial = new Map<number, ShardFile>();
	/** Held shards that were used since the start. */
	private readonly used = new Map<number, ShardFile>();
	private readonly turns = new Turns<number>();

	constructor(folder: string, scan: Scan, ports: TitlePorts) {
		this.folder = folder;
		this.ports = ports;
		this.geometry = scan.geometry;
		this.held = new Bitfield(shardCount(scan.geometry));
		for (const { shard, hash, isPart, bytes } of scan.shards) {
			this.hashes[shard] = hash;
			this.reserved += this.sizeOf(shard);
			if (isPart) this.unchecked.set(shard, bytes);
			else this.held.add(shard);
		}
	}

	/** Bytes on disk, leaves included. */
	get bytes(): Bytes {
		let bytes = this.reserved;
		for (const [shard, file] of this.partial) {
			bytes -= this.sizeOf(shard) - file.bytes;
		}
		for (const [shard, taken] of this.unchecked) {
			bytes -= this.sizeOf(shard) - taken;
		}
		return bytes;
	}

	partials(): PartialShard[] {
		return [...this.partial].map(([shard, { have }]) => ({
			shard,
			blocks: have,
		}));
	}

	blocksOf(shard: number): Bitfield | undefined {
		return this.partial.get(shard)?.have;
	}

	/** Reads through what an earlier run left, one shard after the other. */
	async check(signal: AbortSignal): Promise<void> {
		for (const shard of [...this.unchecked.keys()]) {
			if (signal.aborted) return;
			await this.file(shard);
		}
	}

	leaves(shard: number): Promise<VerifiedLeaves | undefined> {
		return this.on(shard, (file) => file.leaves());
	}

	/** Starts a shard from its leaves unless it is there already. Throws STORE_FULL. */
	async start(shard: number, leaves: VerifiedLeaves): Promise<void> {
		if ((await this.file(shard)) !== undefined) return;
		await this.turns.run(shard, () => this.create(shard, leaves));
	}

	/** Gives a verified file its place as a shard, instead of what is there of it, if that is not whole. Throws STORE_FULL. */
	async adopt(
		shard: number,
		path: string,
		leaves: VerifiedLeaves,
	): Promise<void> {
		await this.turns.run(shard, async () => {
			if (this.held.has(shard)) return unlinkIfThere(path);
			await this.discard(shard);
			const size = this.sizeOf(shard);
			this.ports.checkRoom(size);
			this.hashes[shard] = shardHashOf(leaves);
			await publishFile(path, finalPath(this.place(shard)));
			this.reserved += size;
			this.held.add(shard);
		});
		this.ports.onChange(shard);
	}

	/** Writes a block; a shard's last block makes the shard held. Throws STORE_UNUSABLE when the shard is not there any more. */
	async put(shard: number, block: number, bytes: VerifiedBlock): Promise<void> {
		const put = await this.on(shard, async (file) => {
			await file.put(block, bytes);
			if (file.have.full && !this.held.has(shard)) {
				await this.turns.run(shard, () => this.settle(shard, file));
			}
			return true;
		});
		if (put === undefined) {
			throw new LarderError(
				"STORE_UNUSABLE",
				`shard ${shard} was removed while it was being filled`,
			);
		}
		this.ports.onChange(shard);
	}

	/** Ciphertext of a run of blocks. Undefined when any is not held, or is no longer what was written. */
	async read({ shard, first, count }: BlockRun): Promise<Buffer | undefined> {
		return await this.on(shard, async (file) => {
			const bytes = await file.read(first, count);
			if (bytes === undefined && this.held.has(shard) && !file.have.full) {
				await this.turns.run(shard, () => this.demote(shard, file));
			}
			return bytes;
		});
	}

	/** Removes a shard, whole or partial, when those who read or write it just now are done. */
	async remove(shard: number): Promise<void> {
		await this.turns.run(shard, () => this.discard(shard));
		this.ports.onChange(shard);
	}

	async close(): Promise<void> {
		const files = [...this.partial.values(), ...this.used.values()];
		await Promise.all(files.map((file) => file.close()));
	}

	/** Works on a shard's file. Undefined when it is not there, is being removed, or turns out not to be the shard. */
	private async on<T>(
		shard: number,
		work: (file: ShardFile) => Promise<T>,
	): Promise<T | undefined> {
		const file = await this.file(shard);
		if (file === undefined) return undefined;
		try {
			return await work(file);
		} catch (error) {
			if (error instanceof Closed) return undefined;
			if (!(error instanceof ShardDamaged)) throw error;
			this.warn(error, shard);
			await this.remove(shard);
			return undefined;
		}
	}

	/** The shard's file if any of it is on disk. */
	private async file(shard: number): Promise<ShardFile | undefined> {
		if (this.unchecked.has(shard)) {
			await this.turns.run(shard, () => this.resume(shard));
		}
		if (!this.held.has(shard)) return this.partial.get(shard);
		let file = this.used.get(shard);
		if (file === undefined) {
			file = ShardFile.held(this.place(shard), this.ports.resting);
			this.used.set(shard, file);
		}
		return file;
	}

	// What follows runs in the shard's turn.

	private async create(shard: number, leaves: VerifiedLeaves): Promise<void> {
		if (this.held.has(shard) || this.partial.has(shard)) return;
		const size = this.sizeOf(shard);
		this.ports.checkRoom(size);
		this.hashes[shard] = shardHashOf(leaves);
		this.reserved += size;
		try {
			const { resting } = this.ports;
			const file = await ShardFile.create(this.place(shard), resting, leaves);
			this.partial.set(shard, file);
		} catch (error) {
			this.reserved -= size;
			throw error;
		}
	}

	private async resume(shard: number): Promise<void> {
		if (!this.unchecked.has(shard)) return;
		try {
			const place = this.place(shard);
			const file = await ShardFile.resume(place, this.ports.resting);
			this.partial.set(shard, file);
			this.unchecked.delete(shard);
			// Killed between its last block and its final name.
			if (file.have.full) await this.settle(shard, file);
		} catch (error) {
			if (!(error instanceof ShardDamaged)) throw error;
			await this.discard(shard);
		}
		this.ports.onChange(shard);
	}

	private async settle(shard: number, file: ShardFile): Promise<void> {
		if (this.partial.get(shard) !== file) return;
		try {
			await file.publish();
		} catch (error) {
			// After a failed sync nobody knows what of it is on disk.
			await this.discard(shard);
			this.ports.onChange(shard);
			throw error;
		}
		this.partial.delete(shard);
		this.held.add(shard);
		this.used.set(shard, file);
	}

	private async demote(shard: number, file: ShardFile): Promise<void> {
		if (this.used.get(shard) !== file || file.have.full) return;
		this.warn(new Error("a block is no longer what was written"), shard);
		this.used.delete(shard);
		this.held.delete(shard);
		this.partial.set(shard, file);
		this.ports.onChange(shard);
		await file.demote();
	}

	private async discard(shard: number): Promise<void> {
		const file = this.partial.get(shard) ?? this.used.get(shard);
		const wasHere = this.unchecked.has(shard) || this.held.has(shard);
		if (wasHere || this.partial.has(shard)) this.reserved -= this.sizeOf(shard);
		this.unchecked.delete(shard);
		this.partial.delete(shard);
		this.used.delete(shard);
		this.held.delete(shard);
		await file?.close();
		await unlinkIfThere(finalPath(this.place(shard)));
		await unlinkIfThere(partPath(this.place(shard)));
		await syncFolder(this.folder);
	}

	private sizeOf(shard: number): Bytes {
		return shardFileBytes(this.geometry, shard);
	}

	private place(index: number): ShardPlace {
		const { folder, geometry, hashes } = this;
		return { folder, index, geometry, hashes };
	}

	private warn(err: Error, shard: number): void {
		this.ports.log.warn({ err, shard }, "a shard on disk is damaged");
	}
}
