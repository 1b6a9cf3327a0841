import { mkdir } from "node:fs/promises";
import type { Store, TitleInventory } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import type { BlockRun, Geometry } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import type { VerifiedBlock, VerifiedLeaves } from "../content/verify.ts";
import type { TitleId } from "../wire/ids.ts";
import { Books, type StoreSize } from "./books.ts";
import { Disk } from "./disk.ts";
import { diskError } from "./files.ts";
import type { TitleFolder } from "./title.ts";
import { Titles } from "./titles.ts";

export interface StoreOptions extends StoreSize {
	readonly folder: string;
	/** Where it is written down how titles are cut, so that a start need not read all of their manifests. */
	readonly cuts?: string;
	/** So much of a shard was written. */
	readonly onWritten?: (bytes: Bytes) => void;
	readonly log: Log;
}

/** Something of this shard came or went. */
export interface StoreChange {
	readonly title: TitleId;
	readonly shard: number;
}

/** Shard files in `<folder>/<title id>/`. A file under its final name is complete and verified. */
export class ShardStore implements Store {
	private readonly onWritten: (bytes: Bytes) => void;
	private readonly log: Log;
	private readonly all: Titles;
	private readonly listeners = new Set<(change: StoreChange) => void>();
	private readonly closing = new AbortController();
	private checking: Promise<void> = Promise.resolve();
	private readonly books: Books;
	readonly disk: Disk;

	private constructor(options: StoreOptions) {
		const { folder, cuts, log } = options;
		this.onWritten = options.onWritten ?? (() => undefined);
		this.books = new Books(options);
		this.disk = new Disk({ folder, log });
		this.log = log;
		this.all = new Titles({
			...{ folder, cuts, books: this.books, disk: this.disk, log },
			onChange: (title, shard) => {
				for (const listener of this.listeners) listener({ title, shard });
			},
		});
	}

	/**
	 * Takes stock of the folder by names and sizes; what an earlier run left unfinished is read through in the background,
	 * or when it is asked for. Throws STORE_UNUSABLE.
	 */
	static async open(options: StoreOptions): Promise<ShardStore> {
		const store = new ShardStore(options);
		await store.guard(`opening the store at ${options.folder}`, async () => {
			await mkdir(options.folder, { recursive: true, mode: 0o700 });
			await store.disk.open();
			await store.all.open();
		});
		store.checking = store.all.check(store.closing.signal);
		return store;
	}

	onChange(listener: (change: StoreChange) => void): void {
		this.listeners.add(listener);
	}

	get capacity(): Bytes {
		return this.books.capacity;
	}

	get streamingShare(): Bytes {
		return this.books.streamingShare;
	}

	get streamingRoom(): Bytes {
		return this.books.streamingRoom;
	}

	get placedRoom(): Bytes {
		return this.books.placedRoom;
	}

	get excess(): Bytes {
		return this.books.excess;
	}

	get reservedBytes(): Bytes {
		return this.books.reserved;
	}

	get takesWrites(): boolean {
		return this.disk.state === "good";
	}

	get usedBytes(): Bytes {
		return this.books.beside + this.all.bytes;
	}

	/** From now on. What is above it stays until it is removed, and nothing is begun beside it. */
	resize(size: StoreSize): void {
		this.books.resize(size);
	}

	titles(): readonly TitleId[] {
		return [...this.all.byId.keys()];
	}

	geometry(id: TitleId): Geometry | undefined {
		return this.find(id)?.geometry;
	}

	inventory(id: TitleId): TitleInventory | undefined {
		const title = this.find(id);
		if (title === undefined) return undefined;
		const { geometry, held, bytes } = title;
		return { id, geometry, held, bytes, partial: title.partials() };
	}

	/** Whether any of a shard is here. */
	hasAny(id: TitleId, shard: number): boolean {
		const title = this.find(id);
		return title?.held.has(shard) || title?.blocksOf(shard) !== undefined;
	}

	hasBlock(id: TitleId, shard: number, block: number): boolean {
		const title = this.find(id);
		if (title === undefined) return false;
		return title.held.has(shard) || title.blocksOf(shard)?.has(block) === true;
	}

	manifest(id: TitleId): Promise<Manifest | undefined> {
		return this.guard("reading a manifest", () => this.all.manifests.get(id));
	}

	manifestBytes(id: TitleId): Promise<Buffer | undefined> {
		return this.guard("reading a manifest", () => this.all.manifests.bytes(id));
	}

	putManifest(id: TitleId, bytes: Uint8Array): Promise<Manifest> {
		return this.guard("keeping a manifest", () => this.all.put(id, bytes));
	}

	async leaves(
		id: TitleId,
		shard: number,
	): Promise<VerifiedLeaves | undefined> {
		return await this.guard("reading leaves", async () =>
			this.find(id)?.leaves(shard),
		);
	}

	async putLeaves(
		id: TitleId,
		shard: number,
		leaves: VerifiedLeaves,
	): Promise<void> {
		await this.guard("starting a shard", () =>
			this.title(id).start(shard, leaves),
		);
		this.onWritten(leaves.length);
	}

	async putBlock(
		id: TitleId,
		shard: number,
		block: number,
		bytes: VerifiedBlock,
	): Promise<void> {
		await this.guard("writing a block", () =>
			this.title(id).put(shard, block, bytes),
		);
		this.onWritten(bytes.length);
	}

	/** Where a title's files are. */
	folderOf(id: TitleId): string {
		return this.all.folderOf(id);
	}

	/** Moves a verified file of this file system in as a shard, which is held then. Throws as `putLeaves`. */
	async adopt(id: TitleId, shard: number, path: string): Promise<void> {
		await this.guard("taking a shard in", () =>
			this.title(id).adopt(shard, path),
		);
	}

	async read(id: TitleId, run: BlockRun): Promise<Buffer | undefined> {
		return await this.guard("reading blocks", async () =>
			this.find(id)?.read(run),
		);
	}

	/** Whether a run of blocks is still what was written; what is not is dropped. */
	async recheck(id: TitleId, run: BlockRun): Promise<boolean> {
		const bytes = await this.guard("reading blocks", async () =>
			this.find(id)?.read(run, "reread"),
		);
		this.disk.scrubbed(bytes?.length ?? 0);
		return bytes !== undefined;
	}

	async removeShard(id: TitleId, shard: number): Promise<void> {
		await this.guard("removing a shard", async () =>
			this.find(id)?.remove(shard),
		);
	}

	async removeTitle(id: TitleId): Promise<void> {
		await this.guard("removing a title", () => this.all.remove(id));
	}

	/**
	 * Compares what the books say with the folder, by names and sizes, and mends what differs. Gives how much did: 0 unless
	 * somebody else has been at the folder, or the disk has lost or kept what it should not.
	 */
	async audit(): Promise<number> {
		const mended = await this.guard("checking the books", () =>
			this.all.audit(this.closing.signal),
		);
		this.disk.mended(mended);
		if (mended > 0) this.log.warn({ mended }, "the folder was not as known");
		return mended;
	}

	async close(): Promise<void> {
		this.closing.abort();
		this.disk.close();
		await this.checking;
		await this.all.close();
	}

	private find(id: TitleId): TitleFolder | undefined {
		return this.all.byId.get(id);
	}

	private title(id: TitleId): TitleFolder {
		const title = this.find(id);
		if (title === undefined) {
			throw new LarderError("TITLE_UNKNOWN", "no manifest of it is here");
		}
		return title;
	}

	private async guard<T>(what: string, work: () => Promise<T>): Promise<T> {
		try {
			return await work();
		} catch (cause) {
			if (cause instanceof LarderError) throw cause;
			this.disk.failed(cause);
			throw diskError(what, cause);
		}
	}
}
