import { type Dirent, readdirSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as others } from "node:timers/promises";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import type { Geometry } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import { auditStore } from "./audit.ts";
import type { Books } from "./books.ts";
import type { TitlePorts } from "./contents.ts";
import { Cuts } from "./cuts.ts";
import type { Disk } from "./disk.ts";
import { Manifests } from "./manifests.ts";
import { Resting } from "./resting.ts";
import { besides, MANIFEST, scanFolder } from "./scan.ts";
import { TitleFolder } from "./title.ts";
import { Turns } from "./turns.ts";

/** Files kept open while nobody uses them. */
const OPEN = 64;

export interface TitlesPorts {
	readonly folder: string;
	/** As in StoreOptions. */
	readonly cuts: string | undefined;
	readonly books: Books;
	readonly disk: Disk;
	/** Something of this shard came or went. */
	readonly onChange: (id: TitleId, shard: number) => void;
	readonly log: Log;
}

/**
 * The titles of a store, each in its folder.
 * Invariant: `byId` has each title whose manifest is on disk. A title comes and goes in its turn.
 */
export class Titles {
	readonly byId: ReadonlyMap<TitleId, TitleFolder>;
	readonly manifests: Manifests;
	private readonly here = new Map<TitleId, TitleFolder>();
	private readonly ports: TitlesPorts;
	private readonly resting: Resting;
	private readonly turns = new Turns<TitleId>();
	private readonly cuts: Cuts | undefined;
	/** Made once: there are thousands of titles. */
	private readonly common: TitlePorts;

	constructor(ports: TitlesPorts) {
		this.ports = ports;
		this.byId = this.here;
		this.resting = new Resting(OPEN, ports.log);
		this.manifests = new Manifests(ports.folder, ports.log);
		const { cuts, books, disk, onChange, log } = ports;
		this.common = {
			...{ books, disk, onChange, log, resting: this.resting },
			folderOf: (id) => this.folderOf(id),
			hashesOf: (id) => this.hashesOf(id),
		};
		if (cuts !== undefined)
			this.cuts = new Cuts({ path: cuts, all: () => this.geometries(), log });
	}

	/** Bytes of shards on disk. */
	get bytes(): Bytes {
		let bytes = 0;
		for (const title of this.here.values()) bytes += title.bytes;
		return bytes;
	}

	folderOf(id: TitleId): string {
		return join(this.ports.folder, id);
	}

	/** Takes stock by names and sizes. */
	async open(): Promise<void> {
		const cuts = await this.cuts?.read();
		for (const name of await readdir(this.ports.folder)) {
			if (isTitleId(name)) await this.recall(name, cuts?.get(name));
			await others();
		}
	}

	/** Throws MANIFEST_INVALID or STORE_FULL. */
	put(id: TitleId, bytes: Uint8Array): Promise<Manifest> {
		return this.turns.run(id, async () => {
			const isNew = !this.here.has(id);
			if (isNew) this.ports.books.checkRoom(besides(bytes.length));
			const { disk } = this.ports;
			const manifest = await disk.sync(() => this.manifests.put(id, bytes));
			if (isNew) await this.take(id, manifest);
			return manifest;
		});
	}

	remove(id: TitleId): Promise<void> {
		return this.turns.run(id, async () => {
			const title = this.here.get(id);
			this.here.delete(id);
			this.manifests.forget(id);
			await title?.close();
			const folder = join(this.ports.folder, id);
			try {
				await rm(folder, { recursive: true, force: true });
			} catch (error) {
				title?.forget();
				// What is still there is not to be forgotten.
				await this.recall(id);
				throw error;
			}
			title?.forget();
			for (const shard of title?.held ?? []) this.ports.onChange(id, shard);
		});
	}

	/** Reads through what an earlier run left unfinished. Never rejects. */
	async check(signal: AbortSignal): Promise<void> {
		for (const [id, title] of this.here) {
			try {
				await title.check(signal);
			} catch (error) {
				this.ports.log.warn({ err: error, title: id }, "a check failed");
			}
		}
	}

	/** Compares all with their folders, and mends what differs. Gives how much did. */
	audit(signal: AbortSignal): Promise<number> {
		return auditStore({
			...{ folder: this.ports.folder, titles: this.here, signal },
			takeUp: (id) =>
				this.turns.run(id, async () => {
					if (!this.here.has(id)) await this.recall(id);
				}),
			remove: (id) => this.remove(id),
		});
	}

	async close(): Promise<void> {
		for (const title of this.here.values()) await title.close();
		await this.cuts?.close();
	}

	/**
	 * Takes up a title that an earlier run left. One folder that cannot be read does not keep the others from being served.
	 * @param known how it is cut, where that is written down
	 */
	private async recall(id: TitleId, known?: Geometry): Promise<void> {
		const folder = this.folderOf(id);
		try {
			const entries = readdirSync(folder, { withFileTypes: true });
			// A damaged manifest is fetched again while its shards wait; none at all means that nobody did.
			if (!entries.some(({ name }) => name === MANIFEST))
				await rm(folder, { recursive: true });
			else if (known !== undefined) this.add(id, known, entries);
			else {
				const manifest = await this.manifests.get(id);
				if (manifest !== undefined) await this.take(id, manifest);
			}
		} catch (error) {
			this.ports.log.warn({ err: error, title: id }, "a title is unreadable");
		}
	}

	/** A title whose manifest is on disk, and was read. */
	private async take(
		id: TitleId,
		{ size, blockSize, shardBlocks }: Manifest,
	): Promise<void> {
		const folder = this.folderOf(id);
		const entries = await readdir(folder, { withFileTypes: true });
		this.add(id, { size, blockSize, shardBlocks }, entries);
		this.cuts?.changed();
	}

	private add(
		id: TitleId,
		geometry: Geometry,
		entries: readonly Dirent[],
	): void {
		const scan = scanFolder(this.folderOf(id), entries, geometry);
		this.here.set(id, new TitleFolder(id, scan, this.common));
	}

	private async hashesOf(id: TitleId): Promise<readonly string[]> {
		const manifest = await this.manifests.get(id);
		if (manifest !== undefined) return manifest.shards;
		throw new LarderError("TITLE_UNKNOWN", `no manifest of ${id} is here`);
	}

	private *geometries(): Generator<readonly [TitleId, Geometry]> {
		for (const [id, { geometry }] of this.here) yield [id, geometry];
	}
}
