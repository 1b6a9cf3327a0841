import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import type Corestore from "corestore";
import Hyperbee from "hyperbee";
import type Hypercore from "hypercore";
import { LarderError } from "../base/errors.ts";
import type { CatalogEntry } from "../wire/catalog.ts";
import type { TitleId } from "../wire/ids.ts";
import { BEE, decodeEntry, encodeEntry } from "./entry.ts";
import { openStorage } from "./storage.ts";

/**
 * The headend's side of the catalog.
 * Invariant: one epoch has one log with a key drawn at random when the epoch began, kept only here. So a headend restored
 * from a backup (which raises the epoch) can never write a second version of a log that boxes have.
 */
export class CatalogWriter {
	private readonly store: Corestore;
	private readonly core: Hypercore;
	private readonly bee: Hyperbee;

	constructor(store: Corestore, core: Hypercore, bee: Hyperbee) {
		this.store = store;
		this.core = core;
		this.bee = bee;
	}

	/** The log's public key in hex, for the head. */
	get key(): string {
		return this.core.key.toString("hex");
	}

	/** The log's length in blocks, for the head. */
	get length(): number {
		return this.core.length;
	}

	/**
	 * Adds or replaces an entry; one that is there already changes nothing.
	 * @throws LarderError PACKAGE_INVALID when it cannot be made to fit
	 */
	async put(entry: CatalogEntry): Promise<void> {
		await this.bee.put(entry.id, encodeEntry(entry), {
			cas: (previous, next) => previous.value !== next.value,
		});
	}

	/** Removes an entry; one that is not there changes nothing. */
	async remove(id: TitleId): Promise<void> {
		await this.bee.del(id);
	}

	/** All entries, by title id. */
	async list(): Promise<CatalogEntry[]> {
		const entries: CatalogEntry[] = [];
		for await (const { key, value } of this.bee.createReadStream()) {
			const entry = decodeEntry(key, value);
			if (!entry.ok)
				throw new LarderError(
					"STORE_UNUSABLE",
					`the catalog holds a damaged entry: ${entry.reason} ${entry.detail}`,
				);
			entries.push(entry.value);
		}
		return entries;
	}

	/** Serves the log on a member's connection, beside whatever else its Protomux carries. */
	replicate(stream: NoiseStream): void {
		this.store.replicate(stream);
	}

	async close(): Promise<void> {
		await this.bee.close();
		await this.store.close();
	}
}

/**
 * Opens the log of an epoch, or begins it. Logs of earlier epochs are removed.
 *
 * @param dir the folder of all catalog logs
 * @throws LarderError STORE_UNUSABLE: a later epoch has begun here, the folder is a copy of another, or the disk fails
 */
export async function openCatalogWriter(
	dir: string,
	{ epoch }: { readonly epoch: number },
): Promise<CatalogWriter> {
	await mkdir(dir, { recursive: true });
	const epochs = (await readdir(dir)).filter((name) => /^\d+$/.test(name));
	const latest = Math.max(epoch, ...epochs.map(Number));
	if (latest > epoch)
		throw new LarderError(
			"STORE_UNUSABLE",
			`epoch ${latest} of the catalog has begun in ${dir}; epoch ${epoch} is over`,
		);
	const store = await openStorage(join(dir, String(epoch)), "writer");
	const core = store.get({ name: "catalog" });
	const bee = new Hyperbee(core, BEE);
	await bee.ready();
	for (const name of epochs)
		if (Number(name) < epoch)
			await rm(join(dir, name), { recursive: true, force: true });
	return new CatalogWriter(store, core, bee);
}
