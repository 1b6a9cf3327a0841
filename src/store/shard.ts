import { open, rename } from "node:fs/promises";
import type { Bytes } from "../base/units.ts";
import { Bitfield } from "../content/bitfield.ts";
import {
	blocksIn,
	leavesBytes,
	runBytes,
	shardBytes,
	shardFileBytes,
} from "../content/geometry.ts";
import {
	type VerifiedBlock,
	type VerifiedLeaves,
	verifyBlock,
} from "../content/verify.ts";
import { publishFile, unlinkIfThere, writeExactly } from "./files.ts";
import {
	finalPath,
	type OpenShard,
	openShard,
	partPath,
	readIntact,
	type ShardPlace,
	spotOf,
} from "./opening.ts";
import { Openable, type Resting } from "./resting.ts";

/**
 * One shard's file: blocks, then leaves. Partial as `<index>.part`, held as `<index>`.
 * Invariants: `path` is where the file is. A block in `have` was written whole, or matched its leaf when it was last read;
 * one in `checked` has been read back since the start and did match.
 */
export class ShardFile {
	readonly have: Bitfield;
	private readonly checked: Bitfield;
	private readonly place: ShardPlace;
	private readonly resting: Resting;
	private opened: Openable<OpenShard>;
	private readonly writing = new Map<number, Promise<void>>();
	private path: string;

	private constructor(place: ShardPlace, resting: Resting, path: string) {
		this.place = place;
		this.path = path;
		this.have = new Bitfield(blocksIn(place.geometry, place.index));
		this.checked = new Bitfield(this.have.length);
		this.resting = resting;
		this.opened = this.openable();
	}

	/** Starts a shard from its leaves; what lay there is overwritten. */
	static async create(
		place: ShardPlace,
		resting: Resting,
		leaves: VerifiedLeaves,
	): Promise<ShardFile> {
		const { geometry, index } = place;
		const path = partPath(place);
		try {
			const handle = await open(path, "w", 0o600);
			try {
				await handle.truncate(shardFileBytes(geometry, index));
				await writeExactly(handle, leaves, shardBytes(geometry, index));
			} finally {
				await handle.close();
			}
		} catch (error) {
			await unlinkIfThere(path);
			throw error;
		}
		return new ShardFile(place, resting, path);
	}

	/** A shard under its final name: complete and verified when it got it. */
	static held(place: ShardPlace, resting: Resting): ShardFile {
		const file = new ShardFile(place, resting, finalPath(place));
		for (let block = 0; block < file.have.length; block++) file.have.add(block);
		return file;
	}

	/** Takes up a `.part` again: every block is checked against its leaf. Throws ShardDamaged. */
	static async resume(place: ShardPlace, resting: Resting): Promise<ShardFile> {
		const file = new ShardFile(place, resting, partPath(place));
		await file.opened.use(async (opened) => {
			for (let block = 0; block < file.have.length; block++) {
				if ((await file.intact(opened, block)) === undefined) continue;
				file.have.add(block);
				file.checked.add(block);
			}
		});
		return file;
	}

	/** Bytes of the blocks on disk and of the leaves. */
	get bytes(): Bytes {
		const { geometry, index } = this.place;
		const last = this.have.length - 1;
		const whole = this.have.count * geometry.blockSize;
		const short = this.have.has(last)
			? this.have.length * geometry.blockSize - shardBytes(geometry, index)
			: 0;
		return leavesBytes(geometry, index) + whole - short;
	}

	/** Throws ShardDamaged, or Closed when it is being removed. */
	leaves(): Promise<VerifiedLeaves> {
		return this.opened.use(async ({ leaves }) => leaves);
	}

	/** Writes one block, once. Throws ShardDamaged, or Closed when it is being removed. */
	async put(block: number, bytes: VerifiedBlock): Promise<void> {
		if (this.have.has(block)) return;
		const already = this.writing.get(block);
		if (already !== undefined) return await already;
		const at = block * this.place.geometry.blockSize;
		const write = this.opened.use(({ handle }) =>
			writeExactly(handle, bytes, at),
		);
		this.writing.set(block, write);
		try {
			await write;
			this.have.add(block);
		} finally {
			this.writing.delete(block);
		}
	}

	/** Ciphertext of blocks that are all in `have`. Undefined when one is not, or is no longer what it was and has just left it. */
	async read(first: number, count: number): Promise<Buffer | undefined> {
		for (let i = 0; i < count; i++) {
			if (!this.have.has(first + i)) return undefined;
		}
		return await this.opened.use(async (opened) => {
			const bytes = await this.readBlocks(opened.handle, first, count);
			if (bytes !== undefined && this.check(opened, first, count, bytes)) {
				return bytes;
			}
			return await this.salvage(opened, first, count);
		});
	}

	/** The same, and each block is compared with its leaf again. */
	reread(first: number, count: number): Promise<Buffer | undefined> {
		for (let i = 0; i < count; i++) this.checked.delete(first + i);
		return this.read(first, count);
	}

	/** Gives a whole shard its final name, on disk for good. */
	async publish(): Promise<void> {
		await this.opened.use(async ({ handle }) => {
			await handle.datasync();
			await publishFile(this.path, finalPath(this.place));
			this.path = finalPath(this.place);
		});
	}

	/** Takes the final name away from a shard that has lost blocks, which are to be written anew. */
	async demote(): Promise<void> {
		const { opened } = this;
		await opened.use(async () => {
			await rename(this.path, partPath(this.place));
			this.path = partPath(this.place);
		});
		this.opened = this.openable();
		await opened.close();
	}

	/** Waits for reads and writes under way; later ones are refused. */
	close(): Promise<void> {
		return this.opened.close();
	}

	private openable(): Openable<OpenShard> {
		return new Openable(
			this.resting,
			() => openShard(this.place, this.path),
			({ handle }) => handle.close(),
		);
	}

	/** Checks those blocks of a run that have not been since the start. */
	private check(
		{ leaves }: OpenShard,
		first: number,
		count: number,
		bytes: Buffer,
	): boolean {
		const { geometry, index } = this.place;
		for (let i = 0; i < count; i++) {
			const block = first + i;
			if (this.checked.has(block)) continue;
			const at = i * geometry.blockSize;
			const part = bytes.subarray(at, at + geometry.blockSize);
			if (!verifyBlock(geometry, leaves, index, block, part)) return false;
			this.checked.add(block);
		}
		return true;
	}

	/** Block by block: those that are lost leave `have`. */
	private async salvage(
		opened: OpenShard,
		first: number,
		count: number,
	): Promise<Buffer | undefined> {
		const parts: Buffer[] = [];
		for (let block = first; block < first + count; block++) {
			const part = await this.intact(opened, block);
			if (part === undefined) {
				this.have.delete(block);
				this.checked.delete(block);
			} else parts.push(part);
		}
		return parts.length === count ? Buffer.concat(parts) : undefined;
	}

	private async intact(
		{ handle, leaves }: OpenShard,
		block: number,
	): Promise<Buffer | undefined> {
		const { geometry, index } = this.place;
		const bytes = await this.readBlocks(handle, block, 1);
		const intact = bytes && verifyBlock(geometry, leaves, index, block, bytes);
		// What was never written is no loss.
		if (intact === undefined && this.have.has(block)) {
			const why = bytes === undefined ? "unreadable" : "changed";
			this.place.disk.lost(why, spotOf(this.place));
		}
		return intact;
	}

	private readBlocks(
		handle: OpenShard["handle"],
		first: number,
		count: number,
	): Promise<Buffer | undefined> {
		const { geometry, index } = this.place;
		const length = runBytes(geometry, { shard: index, first, count });
		return readIntact(handle, length, first * geometry.blockSize);
	}
}
