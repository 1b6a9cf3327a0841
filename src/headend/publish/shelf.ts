import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { FSWatcher } from "chokidar";
import { watch } from "chokidar";
import { LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { Millis } from "../../base/units.ts";
import type { Geometry } from "../../content/geometry.ts";
import { readManifest } from "../../content/manifest.ts";
import { short, type TitleId } from "../../wire/ids.ts";
import { listTitles, type TitleRecord, titlesDir } from "./titles.ts";

/** Records that come together are taken up together. */
const QUIET: Millis = 300;

/** A published title, with the cut of its byte space. */
export interface ShelvedTitle {
	readonly record: TitleRecord;
	readonly geometry: Geometry;
}

/**
 * The published titles: the folder of their records is the truth, whoever publishes into it.
 * Invariant: `titles` is what the folder held at the last look.
 */
export class TitleShelf {
	private readonly dir: string;
	private readonly log: Log;
	private readonly watcher: FSWatcher;
	private readonly geometries = new Map<TitleId, Geometry>();
	private shelved: readonly ShelvedTitle[] = [];
	private timer: NodeJS.Timeout | undefined;
	private looking: Promise<void> = Promise.resolve();
	private readonly onChange: () => Promise<void>;

	private constructor(dir: string, onChange: () => Promise<void>, log: Log) {
		this.dir = dir;
		this.onChange = onChange;
		this.log = log;
		this.watcher = watch(titlesDir(dir), { depth: 0, ignoreInitial: true });
		this.watcher.on("all", () => this.later());
		this.watcher.on("error", (error) => {
			log.error({ err: error }, "new titles are not noticed");
		});
	}

	/** Reads the folder, then follows it; `onChange` is called after each later change. */
	static async open(
		dir: string,
		onChange: () => Promise<void>,
		log: Log,
	): Promise<TitleShelf> {
		const shelf = new TitleShelf(dir, onChange, log);
		await shelf.look();
		return shelf;
	}

	get titles(): readonly ShelvedTitle[] {
		return this.shelved;
	}

	async close(): Promise<void> {
		clearTimeout(this.timer);
		await this.watcher.close();
		await this.looking;
	}

	private later(): void {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => {
			this.looking = this.looking
				.then(() => this.look())
				.then(() => this.onChange())
				.catch((error: unknown) => {
					this.log.error({ err: error }, "new titles were not taken up");
				});
		}, QUIET);
	}

	private async look(): Promise<void> {
		const { titles, damaged } = await listTitles(this.dir);
		for (const { path, why } of damaged) {
			this.log.error({ path, why }, "a title's record is damaged");
		}
		const shelved: ShelvedTitle[] = [];
		for (const record of titles) {
			const geometry = await this.geometry(record.id);
			if (geometry !== undefined) shelved.push({ record, geometry });
		}
		this.shelved = shelved;
	}

	private async geometry(id: TitleId): Promise<Geometry | undefined> {
		const known = this.geometries.get(id);
		if (known !== undefined) return known;
		try {
			const geometry = await readGeometry(this.dir, id);
			this.geometries.set(id, geometry);
			return geometry;
		} catch (error) {
			this.log.error(
				{ err: error, title: short(id) },
				"a title's manifest is not at the origin folder; it is not placed",
			);
			return undefined;
		}
	}
}

/** How a published title's byte space is cut. Throws MANIFEST_INVALID, or what the disk says. */
export async function readGeometry(
	operatorDir: string,
	id: TitleId,
): Promise<Geometry> {
	const bytes = await readFile(join(operatorDir, "origin", id, "manifest"));
	const read = readManifest(id, bytes);
	if (!read.ok) {
		throw new LarderError("MANIFEST_INVALID", `${read.reason} ${read.detail}`);
	}
	const { size, blockSize, shardBlocks } = read.value;
	return { size, blockSize, shardBlocks };
}
