import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Store, TitleInventory } from "../act/ports.ts";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import type { BlockRun } from "../content/geometry.ts";
import { type Manifest, readManifest } from "../content/manifest.ts";
import type { VerifiedBlock, VerifiedLeaves } from "../content/verify.ts";
import { isTitleId, short, type TitleId } from "../wire/ids.ts";
import { diskError, syncFolder, writeWhole } from "./files.ts";
import { TitleFolder } from "./title.ts";

/** Parsed manifests kept in memory; a large one is a megabyte. */
const MANIFESTS_KEPT = 16;

export interface StoreOptions {
	readonly folder: string;
	readonly capacity: Bytes;
	readonly streamingShare: Bytes;
	readonly log: Log;
}

/** What changed on disk: blocks came, a shard became whole, or is gone. */
export interface StoreChange {
	readonly title: TitleId;
	readonly shard: number;
	readonly kind: "block" | "held" | "gone";
	/** With `block`. */
	readonly block?: number;
}

/** Shard files in `<folder>/<title id>/`. A file under its final name is complete and verified. */
export class ShardStore implements Store {
	readonly capacity: Bytes;
	readonly streamingShare: Bytes;
	private readonly folder: string;
	private readonly log: Log;
	/** Undefined while a title's manifest is not on disk. */
	private readonly folders = new Map<TitleId, TitleFolder | undefined>();
	private readonly manifests = new Map<TitleId, Manifest>();
	private readonly listeners = new Set<(change: StoreChange) => void>();

	private constructor(options: StoreOptions) {
		this.folder = options.folder;
		this.capacity = options.capacity;
		this.streamingShare = options.streamingShare;
		this.log = options.log;
	}

	/** Takes stock of the folder. Throws STORE_UNUSABLE. */
	static async open(options: StoreOptions): Promise<ShardStore> {
		const store = new ShardStore(options);
		try {
			await mkdir(options.folder, { recursive: true, mode: 0o700 });
			for (const name of await readdir(options.folder)) {
				if (isTitleId(name)) await store.scan(name);
			}
		} catch (cause) {
			throw diskError(`opening the store at ${options.folder}`, cause);
		}
		return store;
	}

	onChange(listener: (change: StoreChange) => void): void {
		this.listeners.add(listener);
	}

	get usedBytes(): Bytes {
		let bytes = 0;
		for (const title of this.folders.values()) bytes += title?.bytes ?? 0;
		return bytes;
	}

	titles(): readonly TitleId[] {
		return [...this.folders.keys()];
	}

	inventory(id: TitleId): TitleInventory | undefined {
		const title = this.folders.get(id);
		if (title === undefined) return undefined;
		const { held, bytes } = title;
		return { id, held, bytes, partial: title.partials() };
	}

	hasBlock(id: TitleId, shard: number, block: number): boolean {
		const title = this.folders.get(id);
		if (title === undefined) return false;
		return title.held.has(shard) || title.blocksOf(shard)?.has(block) === true;
	}

	async manifest(id: TitleId): Promise<Manifest | undefined> {
		const kept = this.manifests.get(id);
		if (kept !== undefined) return kept;
		const bytes = await this.manifestBytes(id);
		if (bytes === undefined) return undefined;
		const read = readManifest(id, bytes);
		if (!read.ok) {
			this.log.warn(
				{ title: short(id), reason: read.reason },
				"manifest on disk is damaged",
			);
			await rm(join(this.folder, id, "manifest"), { force: true });
			return undefined;
		}
		this.keep(id, read.value);
		return read.value;
	}

	async manifestBytes(id: TitleId): Promise<Buffer | undefined> {
		try {
			return await readFile(join(this.folder, id, "manifest"));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			throw diskError("reading a manifest", error);
		}
	}

	async putManifest(id: TitleId, bytes: Uint8Array): Promise<Manifest> {
		const read = readManifest(id, bytes);
		if (!read.ok) {
			throw new LarderError(
				"MANIFEST_INVALID",
				`manifest of ${short(id)}: ${read.reason} ${read.detail}`,
			);
		}
		if (this.folders.get(id) !== undefined) return read.value;
		try {
			await mkdir(join(this.folder, id), { recursive: true, mode: 0o700 });
			await writeWhole(join(this.folder, id, "manifest"), bytes);
			await syncFolder(this.folder);
			if (this.folders.get(id) === undefined) await this.scan(id);
		} catch (cause) {
			throw diskError("keeping a manifest", cause);
		}
		return read.value;
	}

	async leaves(
		id: TitleId,
		shard: number,
	): Promise<VerifiedLeaves | undefined> {
		return (await this.folders.get(id)?.file(shard))?.leaves;
	}

	async putLeaves(
		id: TitleId,
		shard: number,
		leaves: VerifiedLeaves,
	): Promise<void> {
		await this.guard("starting a shard", () =>
			this.title(id).start(shard, leaves),
		);
	}

	async putBlock(
		id: TitleId,
		shard: number,
		block: number,
		bytes: VerifiedBlock,
	): Promise<void> {
		const title = this.title(id);
		const file = await title.file(shard);
		if (file === undefined) {
			throw new LarderError(
				"STORE_UNUSABLE",
				`shard ${shard} was removed while it was being filled`,
			);
		}
		const whole = await this.guard("writing a block", () =>
			file.put(block, bytes),
		);
		if (whole) title.becameHeld(shard, file);
		this.tell({ title: id, shard, kind: whole ? "held" : "block", block });
	}

	async read(id: TitleId, run: BlockRun): Promise<Buffer | undefined> {
		const title = this.folders.get(id);
		const file = await title?.file(run.shard);
		if (title === undefined || file === undefined) return undefined;
		const bytes = await this.guard("reading blocks", () => file.read(run));
		if (bytes === undefined && title.held.has(run.shard) && !file.isHeld) {
			title.becamePartial(run.shard, file);
			this.log.warn(
				{ title: short(id), shard: run.shard },
				"a block on disk is no longer what was written; it is fetched again",
			);
			this.tell({ title: id, shard: run.shard, kind: "gone" });
		}
		return bytes;
	}

	async removeShard(id: TitleId, shard: number): Promise<void> {
		const title = this.folders.get(id);
		if (title === undefined) return;
		await this.guard("removing a shard", () => title.remove(shard));
		this.tell({ title: id, shard, kind: "gone" });
	}

	async removeTitle(id: TitleId): Promise<void> {
		const title = this.folders.get(id);
		this.folders.delete(id);
		this.manifests.delete(id);
		await title?.close();
		await this.guard("removing a title", () =>
			rm(join(this.folder, id), { recursive: true, force: true }),
		);
		for (const shard of title?.held ?? []) {
			this.tell({ title: id, shard, kind: "gone" });
		}
	}

	/** What neighbours may ask this box for. Holder tables are kept elsewhere. */
	shelf(holders: (id: TitleId) => Promise<Buffer | undefined>) {
		return {
			holders,
			manifest: (id: TitleId) => this.manifestBytes(id),
			leaves: (id: TitleId, shard: number) => this.leaves(id, shard),
			blocks: async (
				id: TitleId,
				shard: number,
				first: number,
				count: number,
			) => {
				const blockSize = this.folders.get(id)?.geometry.blockSize;
				const bytes = await this.read(id, { shard, first, count });
				return bytes && blockSize ? { bytes, blockSize } : undefined;
			},
		};
	}

	async close(): Promise<void> {
		for (const title of this.folders.values()) await title?.close();
	}

	private async scan(id: TitleId): Promise<void> {
		this.folders.set(id, undefined);
		const manifest = await this.manifest(id);
		if (manifest === undefined) return;
		const folder = join(this.folder, id);
		this.folders.set(id, await TitleFolder.scan(id, folder, manifest));
	}

	private title(id: TitleId): TitleFolder {
		const title = this.folders.get(id);
		if (title === undefined) {
			throw new LarderError("TITLE_UNKNOWN", `no manifest of ${short(id)}`);
		}
		return title;
	}

	private keep(id: TitleId, manifest: Manifest): void {
		this.manifests.set(id, manifest);
		for (const oldest of this.manifests.keys()) {
			if (this.manifests.size <= MANIFESTS_KEPT) break;
			this.manifests.delete(oldest);
		}
	}

	private async guard<T>(what: string, work: () => Promise<T>): Promise<T> {
		try {
			return await work();
		} catch (cause) {
			throw cause instanceof LarderError ? cause : diskError(what, cause);
		}
	}

	private tell(change: StoreChange): void {
		for (const listener of this.listeners) listener(change);
	}
}
