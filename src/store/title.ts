import { readdir, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { PartialShard } from "../act/ports.ts";
import { systemCode } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";
import { Bitfield } from "../content/bitfield.ts";
import {
	type Geometry,
	shardCount,
	shardFileBytes,
} from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import type { VerifiedLeaves } from "../content/verify.ts";
import type { TitleId } from "../wire/ids.ts";
import { syncFolder } from "./files.ts";
import { finalPath, partPath, ShardFile, type ShardPlace } from "./shard.ts";

/** Open files of held shards are kept up to this many a title; partial ones stay open. */
const OPEN_HELD = 16;

/**
 * One title's folder. The folder is the truth; `held` and `partial` mirror it.
 * Invariant: a shard is in `held`, in `partial`, or on neither side and not on disk.
 */
export class TitleFolder {
	readonly id: TitleId;
	readonly geometry: Geometry;
	readonly held: Bitfield;
	private readonly folder: string;
	private readonly hashes: readonly string[];
	private readonly partial = new Map<number, ShardFile>();
	private readonly creating = new Map<number, Promise<ShardFile>>();
	/** Least recently used first. */
	private readonly open = new Map<number, Promise<ShardFile | undefined>>();
	private heldBytes = 0;

	private constructor(id: TitleId, folder: string, manifest: Manifest) {
		this.id = id;
		this.folder = folder;
		const { size, blockSize, shardBlocks } = manifest;
		this.geometry = { size, blockSize, shardBlocks };
		this.hashes = manifest.shards;
		this.held = new Bitfield(shardCount(manifest));
	}

	/** Reads the folder: held shards by name and size, partial ones by checking every block. */
	static async scan(
		id: TitleId,
		folder: string,
		manifest: Manifest,
	): Promise<TitleFolder> {
		const title = new TitleFolder(id, folder, manifest);
		for (const entry of await readdir(folder, { withFileTypes: true })) {
			const match = /^(\d{1,7})(\.part)?$/.exec(entry.name);
			const index = Number(match?.[1] ?? -1);
			if (entry.name === "manifest") continue;
			if (match === null || title.hashes[index] === undefined) {
				await rm(join(folder, entry.name), { recursive: true });
			} else if (match[2] === undefined) {
				title.held.add(index);
				title.heldBytes += shardFileBytes(title.geometry, index);
			} else {
				await title.resume(index);
			}
		}
		return title;
	}

	/** Bytes on disk, leaves included. */
	get bytes(): Bytes {
		let bytes = this.heldBytes;
		for (const file of this.partial.values()) bytes += file.bytes;
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

	/** The shard's file if any of it is on disk. */
	async file(shard: number): Promise<ShardFile | undefined> {
		const partial = this.partial.get(shard);
		if (partial !== undefined || !this.held.has(shard)) return partial;
		let opening = this.open.get(shard);
		this.open.delete(shard);
		opening ??= this.openHeld(shard);
		this.open.set(shard, opening);
		for (const [oldest, file] of this.open) {
			if (this.open.size <= OPEN_HELD) break;
			this.open.delete(oldest);
			await (await file)?.close();
		}
		return opening;
	}

	/** Starts a shard from its leaves unless it is there already. */
	async start(shard: number, leaves: VerifiedLeaves): Promise<ShardFile> {
		const there = await this.file(shard);
		if (there !== undefined) return there;
		let creating = this.creating.get(shard);
		if (creating === undefined) {
			creating = ShardFile.create(this.place(shard), leaves);
			this.creating.set(shard, creating);
		}
		try {
			const file = await creating;
			if (this.creating.get(shard) === creating) this.partial.set(shard, file);
			return file;
		} finally {
			this.creating.delete(shard);
		}
	}

	/** The shard's last block is on disk under its final name. */
	becameHeld(shard: number, file: ShardFile): void {
		if (!this.partial.delete(shard)) return;
		this.held.add(shard);
		this.heldBytes += shardFileBytes(this.geometry, shard);
		this.open.set(shard, Promise.resolve(file));
	}

	/** A read found the disk at fault: the shard is partial again. */
	becamePartial(shard: number, file: ShardFile): void {
		if (!this.held.has(shard)) return;
		this.forgetHeld(shard);
		this.partial.set(shard, file);
	}

	async remove(shard: number): Promise<void> {
		const place = this.place(shard);
		const file = this.partial.get(shard) ?? (await this.open.get(shard));
		this.partial.delete(shard);
		this.forgetHeld(shard);
		await unlinkIfThere(finalPath(place));
		await unlinkIfThere(partPath(place));
		await file?.close();
		await syncFolder(this.folder);
	}

	async close(): Promise<void> {
		const held = await Promise.all(this.open.values());
		const files = [...this.partial.values(), ...held];
		this.partial.clear();
		this.open.clear();
		await Promise.all(files.map((file) => file?.close()));
	}

	private forgetHeld(shard: number): void {
		this.open.delete(shard);
		if (!this.held.has(shard)) return;
		this.held.delete(shard);
		this.heldBytes -= shardFileBytes(this.geometry, shard);
	}

	private place(index: number): ShardPlace {
		const { folder, geometry, hashes } = this;
		return { folder, index, geometry, hashes };
	}

	private async openHeld(shard: number): Promise<ShardFile | undefined> {
		const file = await ShardFile.openHeld(this.place(shard));
		// Cut short or foreign under a final name: nothing of it can be trusted.
		if (file === undefined) {
			this.forgetHeld(shard);
			await unlinkIfThere(finalPath(this.place(shard)));
		}
		return file;
	}

	private async resume(index: number): Promise<void> {
		const place = this.place(index);
		const file = await ShardFile.resume(place);
		if (file === undefined) await unlinkIfThere(partPath(place));
		else if (!file.have.full) this.partial.set(index, file);
		else {
			// Killed between the last block and the rename.
			this.partial.set(index, file);
			await file.settle();
			this.becameHeld(index, file);
		}
	}
}

async function unlinkIfThere(path: string): Promise<void> {
	try {
		await unlink(path);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
	}
}
