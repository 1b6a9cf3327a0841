import type { PartialShard } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";
import type { Bitfield } from "../content/bitfield.ts";
import type { BlockRun, Geometry } from "../content/geometry.ts";
import type { VerifiedBlock, VerifiedLeaves } from "../content/verify.ts";
import type { TitleId } from "../wire/ids.ts";
import { auditTitle } from "./audit.ts";
import { Contents, type TitlePorts } from "./contents.ts";
import { publishFile, unlinkIfThere } from "./files.ts";
import {
	finalPath,
	partPath,
	ShardDamaged,
	type ShardPlace,
} from "./opening.ts";
import { Closed } from "./resting.ts";
import type { Scan } from "./scan.ts";
import { ShardFile } from "./shard.ts";
import { Turns } from "./turns.ts";

/**
 * One title's folder. The folder is the truth; what is here mirrors it.
 * Invariant: what changes where a shard belongs runs in the shard's turn; reads and writes of blocks do not.
 */
export class TitleFolder {
	readonly geometry: Geometry;
	private readonly id: TitleId;
	private readonly ports: TitlePorts;
	private readonly contents: Contents;
	private readonly turns = new Turns<number>();

	constructor(id: TitleId, scan: Scan, ports: TitlePorts) {
		this.id = id;
		this.ports = ports;
		this.geometry = scan.geometry;
		this.contents = new Contents(scan, ports.books);
	}

	get held(): Bitfield {
		return this.contents.held;
	}

	/** Bytes on disk, leaves included. */
	get bytes(): Bytes {
		return this.contents.bytes;
	}

	partials(): PartialShard[] {
		return this.contents.partials;
	}

	blocksOf(shard: number): Bitfield | undefined {
		return this.contents.partial.get(shard)?.have;
	}

	/** Reads through what an earlier run left, one shard after the other. */
	async check(signal: AbortSignal): Promise<void> {
		for (const shard of this.contents.unchecked.keys()) {
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
	async adopt(shard: number, path: string): Promise<void> {
		await this.turns.run(shard, async () => {
			const { contents } = this;
			const { books, disk } = this.ports;
			if (contents.held.has(shard)) return unlinkIfThere(path);
			await this.discard(shard);
			const size = contents.sizeOf(shard);
			books.checkRoom(size);
			contents.claim.move(size);
			try {
				await disk.sync(() => publishFile(path, finalPath(this.place(shard))));
				contents.held.add(shard);
			} catch (error) {
				contents.claim.move(-size);
				throw error;
			}
		});
		this.ports.onChange(this.id, shard);
	}

	/** Writes a block; a shard's last block makes the shard held. Throws STORE_UNUSABLE when the shard is not there any more. */
	async put(shard: number, block: number, bytes: VerifiedBlock): Promise<void> {
		const put = await this.on(shard, async (file) => {
			await this.ports.disk.write(() => file.put(block, bytes));
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
		this.ports.onChange(this.id, shard);
	}

	/**
	 * Ciphertext of a run of blocks. Undefined when any is not held, or is no longer what was written.
	 * @param how `reread` compares blocks with their leaves that were compared before, too
	 */
	async read(
		{ shard, first, count }: BlockRun,
		how: "read" | "reread" = "read",
	): Promise<Buffer | undefined> {
		return await this.on(shard, async (file) => {
			const bytes = await file[how](first, count);
			if (bytes === undefined && this.held.has(shard) && !file.have.full) {
				await this.turns.run(shard, () => this.demote(shard, file));
			}
			return bytes;
		});
	}

	/**
	 * Compares what is believed with the folder, by names and sizes, and mends what differs: what is missing or has another size is
	 * not held, what nobody knows of is removed. Gives how much differed.
	 * @param names what lay in the folder a moment ago
	 */
	async audit(names: readonly string[]): Promise<number> {
		return await auditTitle(names, {
			folder: this.ports.folderOf(this.id),
			contents: this.contents,
			placeOf: (shard) => this.place(shard),
			inTurn: (shard, work) => this.turns.run(shard, work),
			drop: async (shard) => {
				await this.discard(shard);
				this.ports.onChange(this.id, shard);
			},
		});
	}

	/** Removes a shard, whole or partial, when those who read or write it just now are done. */
	async remove(shard: number): Promise<void> {
		await this.turns.run(shard, () => this.discard(shard));
		this.ports.onChange(this.id, shard);
	}

	async close(): Promise<void> {
		const { partial, used } = this.contents;
		const files = [...partial.values(), ...used.values()];
		await Promise.all(files.map((file) => file.close()));
	}

	/** It is off the disk, and whoever worked on it is done. */
	forget(): void {
		this.contents.claim.end();
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
			// Without its manifest nothing can be checked, and nothing is wrong with the shard.
			const isUnknown =
				error instanceof LarderError && error.code === "TITLE_UNKNOWN";
			if (isUnknown) return undefined;
			if (!(error instanceof ShardDamaged)) throw error;
			this.warn(error, shard);
			await this.remove(shard);
			return undefined;
		}
	}

	/** The shard's file if any of it is on disk. */
	private async file(shard: number): Promise<ShardFile | undefined> {
		const { unchecked, held, partial, used } = this.contents;
		if (unchecked.has(shard)) {
			await this.turns.run(shard, () => this.resume(shard));
		}
		if (!held.has(shard)) return partial.get(shard);
		let file = used.get(shard);
		if (file === undefined) {
			file = ShardFile.held(this.place(shard), this.ports.resting);
			used.set(shard, file);
		}
		return file;
	}

	// What follows runs in the shard's turn.

	private async create(shard: number, leaves: VerifiedLeaves): Promise<void> {
		const { contents } = this;
		if (contents.has(shard)) return;
		if (contents.isStuck(shard)) await this.discard(shard);
		const size = contents.sizeOf(shard);
		this.ports.books.checkRoom(size);
		contents.claim.move(size);
		try {
			const { resting, disk } = this.ports;
			const file = await disk.write(() =>
				ShardFile.create(this.place(shard), resting, leaves),
			);
			contents.partial.set(shard, file);
		} catch (error) {
			contents.claim.move(-size);
			throw error;
		}
	}

	private async resume(shard: number): Promise<void> {
		const { unchecked, partial } = this.contents;
		if (!unchecked.has(shard)) return;
		try {
			const place = this.place(shard);
			const file = await ShardFile.resume(place, this.ports.resting);
			partial.set(shard, file);
			unchecked.delete(shard);
			// Killed between its last block and its final name.
			if (file.have.full) await this.settle(shard, file);
		} catch (error) {
			if (!(error instanceof ShardDamaged)) throw error;
			await this.discard(shard);
		}
		this.ports.onChange(this.id, shard);
	}

	private async settle(shard: number, file: ShardFile): Promise<void> {
		const { partial, held, used } = this.contents;
		if (partial.get(shard) !== file) return;
		try {
			await this.ports.disk.sync(() => file.publish());
		} catch (error) {
			// After a failed sync nobody knows what of it is on disk.
			await this.discard(shard);
			this.ports.onChange(this.id, shard);
			throw error;
		}
		partial.delete(shard);
		held.add(shard);
		used.set(shard, file);
	}

	private async demote(shard: number, file: ShardFile): Promise<void> {
		const { partial, held, used } = this.contents;
		if (used.get(shard) !== file || file.have.full) return;
		this.warn(new Error("a block is no longer what was written"), shard);
		used.delete(shard);
		held.delete(shard);
		partial.set(shard, file);
		this.ports.onChange(this.id, shard);
		await file.demote();
	}

	private async discard(shard: number): Promise<void> {
		const { contents } = this;
		const file = contents.partial.get(shard) ?? contents.used.get(shard);
		await contents.drop(shard, async () => {
			await file?.close();
			await this.ports.disk.sync(async () => {
				await unlinkIfThere(finalPath(this.place(shard)));
				// Not synced: what a power cut brings back is whole, or is read through first.
				await unlinkIfThere(partPath(this.place(shard)));
			});
		});
	}

	private place(index: number): ShardPlace {
		const { id, geometry } = this;
		const { disk, folderOf, hashesOf } = this.ports;
		const hashes = () => hashesOf(id);
		return { folder: folderOf(id), index, geometry, hashes, disk };
	}

	private warn(err: Error, shard: number): void {
		const { id: title, ports } = this;
		ports.log.warn({ err, title, shard }, "a shard on disk is damaged");
	}
}
