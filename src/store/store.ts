import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Store, TitleInventory } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Bytes, formatBytes } from "../base/units.ts";
import type { BlockRun, Geometry } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import type { VerifiedBlock, VerifiedLeaves } from "../content/verify.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import { diskError } from "./files.ts";
import { Manifests } from "./manifests.ts";
import { Resting } from "./resting.ts";
import { MANIFEST, scanFolder } from "./scan.ts";
import { TitleFolder, type TitlePorts } from "./title.ts";
import { Turns } from "./turns.ts";

/** Files kept open while nobody uses them. */
const OPEN = 64;

/** What the store may take of the disk, and the part of that kept for what is watched without being placed. */
export interface StoreSize {
	readonly capacity: Bytes;
	readonly streamingShare: Bytes;
}

export interface StoreOptions extends StoreSize {
	readonly folder: string;
	/** So much of a shard was written. */
	readonly onWritten?: (bytes: Bytes) => void;
	readonly log: Log;
}

/** Something of this shard came or went. */
export interface StoreChange {
	readonly title: TitleId;
	readonly shard: number;
}

/**
 * Shard files in `<folder>/<title id>/`. A file under its final name is complete and verified.
 * Invariant: `byId` has each title whose manifest is on disk. A title comes and goes in its turn.
 */
export class ShardStore implements Store {
	private readonly folder: string;
	private readonly onWritten: (bytes: Bytes) => void;
	private readonly log: Log;
	private readonly resting: Resting;
	private readonly manifests: Manifests;
	private readonly byId = new Map<TitleId, TitleFolder>();
	private readonly turns = new Turns<TitleId>();
	private readonly listeners = new Set<(change: StoreChange) => void>();
	private readonly closing = new AbortController();
	private checking: Promise<void> = Promise.resolve();
	private size: StoreSize;

	private constructor(options: StoreOptions) {
		this.folder = options.folder;
		this.onWritten = options.onWritten ?? (() => undefined);
		this.size = options;
		this.log = options.log;
		this.resting = new Resting(OPEN, options.log);
		this.manifests = new Manifests(options.folder, options.log);
	}

	/**
	 * Takes stock of the folder by names and sizes; what an earlier run left unfinished is read through in the background,
	 * or when it is asked for. Throws STORE_UNUSABLE.
	 */
	static async open(options: StoreOptions): Promise<ShardStore> {
		const store = new ShardStore(options);
		await store.guard(`opening the store at ${options.folder}`, async () => {
			await mkdir(options.folder, { recursive: true, mode: 0o700 });
			for (const name of await readdir(options.folder)) {
				if (isTitleId(name)) await store.recall(name);
			}
		});
		store.checking = store.check();
		return store;
	}

	onChange(listener: (change: StoreChange) => void): void {
		this.listeners.add(listener);
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

	get usedBytes(): Bytes {
		let bytes = 0;
		for (const title of this.byId.values()) bytes += title.bytes;
		return bytes;
	}

	titles(): readonly TitleId[] {
		return [...this.byId.keys()];
	}

	geometry(id: TitleId): Geometry | undefined {
		return this.byId.get(id)?.geometry;
	}

	inventory(id: TitleId): TitleInventory | undefined {
		const title = this.byId.get(id);
		if (title === undefined) return undefined;
		const { geometry, held, bytes } = title;
		return { id, geometry, held, bytes, partial: title.partials() };
	}

	/** Whether any of a shard is here. */
	hasAny(id: TitleId, shard: number): boolean {
		const title = this.byId.get(id);
		return title?.held.has(shard) || title?.blocksOf(shard) !== undefined;
	}

	hasBlock(id: TitleId, shard: number, block: number): boolean {
		const title = this.byId.get(id);
		if (title === undefined) return false;
		return title.held.has(shard) || title.blocksOf(shard)?.has(block) === true;
	}

	manifest(id: TitleId): Promise<Manifest | undefined> {
		return this.guard("reading a manifest", () => this.manifests.get(id));
	}

	manifestBytes(id: TitleId): Promise<Buffer | undefined> {
		return this.guard("reading a manifest", () => this.manifests.bytes(id));
	}

	putManifest(id: TitleId, bytes: Uint8Array): Promise<Manifest> {
		return this.guard("keeping a manifest", () =>
			this.turns.run(id, async () => {
				const manifest = await this.manifests.put(id, bytes);
				if (!this.byId.has(id)) await this.add(id, manifest);
				return manifest;
			}),
		);
	}

	async leaves(
		id: TitleId,
		shard: number,
	): Promise<VerifiedLeaves | undefined> {
		return await this.guard("reading leaves", async () =>
			this.byId.get(id)?.leaves(shard),
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
		return join(this.folder, id);
	}

	/** Moves a verified file of this file system in as a shard, which is held then. Throws as `putLeaves`. */
	async adopt(
		id: TitleId,
		shard: number,
		path: string,
		leaves: VerifiedLeaves,
	): Promise<void> {
		await this.guard("taking a shard in", () =>
			this.title(id).adopt(shard, path, leaves),
		);
	}

	async read(id: TitleId, run: BlockRun): Promise<Buffer | undefined> {
		return await this.guard("reading blocks", async () =>
			this.byId.get(id)?.read(run),
		);
	}

	async removeShard(id: TitleId, shard: number): Promise<void> {
		await this.guard("removing a shard", async () =>
			this.byId.get(id)?.remove(shard),
		);
	}

	async removeTitle(id: TitleId): Promise<void> {
		await this.guard("removing a title", () =>
			this.turns.run(id, async () => {
				const title = this.byId.get(id);
				this.byId.delete(id);
				this.manifests.forget(id);
				await title?.close();
				await rm(join(this.folder, id), { recursive: true, force: true });
				for (const shard of title?.held ?? []) this.tell(id, shard);
			}),
		);
	}

	async close(): Promise<void> {
		this.closing.abort();
		await this.checking;
		for (const title of this.byId.values()) await title.close();
	}

	/** Takes up a title that an earlier run left. One folder that cannot be read does not keep the others from being served. */
	private async recall(id: TitleId): Promise<void> {
		const folder = join(this.folder, id);
		try {
			const names = await readdir(folder);
			const manifest = await this.manifests.get(id);
			if (manifest !== undefined) await this.add(id, manifest);
			// A damaged manifest is fetched again while its shards wait; none at all means that nobody did.
			else if (!names.includes(MANIFEST)) await rm(folder, { recursive: true });
		} catch (error) {
			this.log.warn({ err: error, title: id }, "a title is unreadable");
		}
	}

	private async add(id: TitleId, manifest: Manifest): Promise<void> {
		const folder = join(this.folder, id);
		const scan = await scanFolder(folder, manifest);
		this.byId.set(id, new TitleFolder(folder, scan, this.portsOf(id)));
	}

	private portsOf(id: TitleId): TitlePorts {
		return {
			resting: this.resting,
			checkRoom: (bytes) => this.checkRoom(bytes),
			onChange: (shard) => this.tell(id, shard),
			log: this.log.child({ title: id }),
		};
	}

	/** Shards count as whole from their first block on, so that what is started can be finished. */
	private checkRoom(bytes: Bytes): void {
		let reserved = bytes;
		for (const title of this.byId.values()) reserved += title.reserved;
		if (reserved <= this.capacity) return;
		throw new LarderError(
			"STORE_FULL",
			`the ${formatBytes(this.capacity)} that Larder may take have no room for another shard`,
		);
	}

	private async check(): Promise<void> {
		const { signal } = this.closing;
		for (const [id, title] of this.byId) {
			try {
				await title.check(signal);
			} catch (error) {
				this.log.warn({ err: error, title: id }, "a check failed");
			}
		}
	}

	private title(id: TitleId): TitleFolder {
		const title = this.byId.get(id);
		if (title === undefined) {
			throw new LarderError("TITLE_UNKNOWN", "no manifest of it is here");
		}
		return title;
	}

	private async guard<T>(what: string, work: () => Promise<T>): Promise<T> {
		try {
			return await work();
		} catch (cause) {
			throw cause instanceof LarderError ? cause : diskError(what, cause);
		}
	}

	private tell(title: TitleId, shard: number): void {
		for (const listener of this.listeners) listener({ title, shard });
	}
}
