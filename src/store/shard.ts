import { type FileHandle, open, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../base/units.ts";
import { Bitfield } from "../content/bitfield.ts";
import {
	type BlockRun,
	blocksIn,
	type Geometry,
	leavesBytes,
	runBytes,
	shardBytes,
	shardFileBytes,
} from "../content/geometry.ts";
import {
	type VerifiedBlock,
	type VerifiedLeaves,
	verifyBlock,
	verifyLeaves,
} from "../content/verify.ts";
import { publishFile, readExactly, writeExactly } from "./files.ts";

export interface ShardPlace {
	readonly folder: string;
	readonly index: number;
	readonly geometry: Geometry;
	/** The manifest's hashes of all shards' leaves. */
	readonly hashes: readonly string[];
}

/**
 * One shard's file, open: blocks, then leaves. Partial as `<index>.part`, held as `<index>`.
 * Invariant: a block in `have` is on disk and matched its leaf when it was written or last checked.
 */
export class ShardFile {
	// immutable
	readonly place: ShardPlace;
	private readonly handle: FileHandle;
	readonly leaves: VerifiedLeaves;
	// mutable, changed only between awaits
	readonly have: Bitfield;
	private readonly checked: Bitfield;
	private readonly writing = new Map<number, Promise<void>>();
	private finishing: Promise<void> | undefined;
	private complete: boolean;
	private closed = false;

	private constructor(
		place: ShardPlace,
		handle: FileHandle,
		leaves: VerifiedLeaves,
		have: Bitfield,
		complete: boolean,
	) {
		this.place = place;
		this.handle = handle;
		this.leaves = leaves;
		this.have = have;
		this.complete = complete;
		this.checked = new Bitfield(have.length);
	}

	/** Starts a shard from its leaves. */
	static async create(
		place: ShardPlace,
		leaves: VerifiedLeaves,
	): Promise<ShardFile> {
		const { geometry, index } = place;
		const handle = await open(partPath(place), "w+", 0o600);
		try {
			await handle.truncate(shardFileBytes(geometry, index));
			await writeExactly(handle, leaves, shardBytes(geometry, index));
		} catch (error) {
			await handle.close();
			throw error;
		}
		const have = new Bitfield(blocksIn(geometry, index));
		return new ShardFile(place, handle, leaves, have, false);
	}

	/** Opens a held shard; undefined when its file is cut short or its leaves are not the manifest's. */
	static async openHeld(place: ShardPlace): Promise<ShardFile | undefined> {
		const opened = await openWithLeaves(place, finalPath(place), "r+");
		if (opened === undefined) return undefined;
		const have = new Bitfield(blocksIn(place.geometry, place.index));
		for (let block = 0; block < have.length; block++) have.add(block);
		return new ShardFile(place, opened.handle, opened.leaves, have, true);
	}

	/** Takes up a `.part` again: every block is checked against its leaf. Undefined when the leaves are not there yet. */
	static async resume(place: ShardPlace): Promise<ShardFile | undefined> {
		const opened = await openWithLeaves(place, partPath(place), "r+");
		if (opened === undefined) return undefined;
		const have = new Bitfield(blocksIn(place.geometry, place.index));
		const file = new ShardFile(
			place,
			opened.handle,
			opened.leaves,
			have,
			false,
		);
		for (let block = 0; block < have.length; block++) {
			const bytes = await file.readBlocks(block, 1);
			if (bytes !== undefined && file.matches(block, bytes)) {
				have.add(block);
				file.checked.add(block);
			}
		}
		return file;
	}

	get isHeld(): boolean {
		return this.complete;
	}

	/** Bytes of the blocks on disk and of the leaves. */
	get bytes(): Bytes {
		const { geometry, index } = this.place;
		let bytes = leavesBytes(geometry, index);
		const last = this.have.length - 1;
		bytes += this.have.count * geometry.blockSize;
		if (this.have.has(last)) {
			bytes -= this.have.length * geometry.blockSize;
			bytes += shardBytes(geometry, index);
		}
		return bytes;
	}

	/** Writes one block. Returns true when this made the shard whole. */
	async put(block: number, bytes: VerifiedBlock): Promise<boolean> {
		if (!this.have.has(block)) await this.writeOnce(block, bytes);
		if (!this.have.full || this.complete) return false;
		await this.settle();
		return true;
	}

	/** Gives a whole shard its final name, synced. */
	async settle(): Promise<void> {
		this.finishing ??= this.finish();
		try {
			await this.finishing;
		} catch (error) {
			this.finishing = undefined;
			throw error;
		}
	}

	/** Ciphertext of blocks that are all in `have`. Undefined when one is missing or no longer what it was. */
	async read(run: BlockRun): Promise<Buffer | undefined> {
		for (let i = 0; i < run.count; i++) {
			if (!this.have.has(run.first + i)) return undefined;
		}
		const bytes = await this.readBlocks(run.first, run.count);
		const { blockSize } = this.place.geometry;
		for (let i = 0; i < run.count; i++) {
			const block = run.first + i;
			if (this.checked.has(block)) continue;
			const part = bytes?.subarray(i * blockSize, (i + 1) * blockSize);
			if (part === undefined || !this.matches(block, part)) {
				await this.lose(block);
				return undefined;
			}
			this.checked.add(block);
		}
		return bytes;
	}

	async close(): Promise<void> {
		if (this.closed) return;
		this.closed = true;
		await Promise.allSettled([...this.writing.values(), this.finishing]);
		await this.handle.close();
	}

	private async writeOnce(block: number, bytes: Uint8Array): Promise<void> {
		const already = this.writing.get(block);
		if (already !== undefined) return already;
		const { blockSize } = this.place.geometry;
		const write = writeExactly(this.handle, bytes, block * blockSize);
		this.writing.set(block, write);
		try {
			await write;
			this.have.add(block);
			this.checked.add(block);
		} finally {
			this.writing.delete(block);
		}
	}

	private async finish(): Promise<void> {
		await this.handle.datasync();
		await publishFile(partPath(this.place), finalPath(this.place));
		this.complete = true;
	}

	/** The disk gave back something else than was written: the block is missing again, and the shard partial. */
	private async lose(block: number): Promise<void> {
		this.have.delete(block);
		if (!this.complete) return;
		this.complete = false;
		this.finishing = undefined;
		await rename(finalPath(this.place), partPath(this.place));
	}

	private matches(block: number, bytes: Buffer): boolean {
		const { geometry, index } = this.place;
		return (
			verifyBlock(geometry, this.leaves, index, block, bytes) !== undefined
		);
	}

	private readBlocks(
		first: number,
		count: number,
	): Promise<Buffer | undefined> {
		const { geometry, index } = this.place;
		const length = runBytes(geometry, { shard: index, first, count });
		return readExactly(this.handle, length, first * geometry.blockSize);
	}
}

export function partPath(place: ShardPlace): string {
	return join(place.folder, `${place.index}.part`);
}

export function finalPath(place: ShardPlace): string {
	return join(place.folder, `${place.index}`);
}

async function openWithLeaves(
	place: ShardPlace,
	path: string,
	flags: string,
): Promise<{ handle: FileHandle; leaves: VerifiedLeaves } | undefined> {
	const { geometry, index, hashes } = place;
	const handle = await open(path, flags);
	const bytes = await readExactly(
		handle,
		leavesBytes(geometry, index),
		shardBytes(geometry, index),
	).catch(async (error: unknown) => {
		await handle.close();
		throw error;
	});
	const leaves = bytes && verifyLeaves(geometry, hashes, index, bytes);
	if (leaves !== undefined) return { handle, leaves };
	await handle.close();
	return undefined;
}
