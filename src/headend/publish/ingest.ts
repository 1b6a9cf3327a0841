import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import { LarderError, systemCode } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { MINUTE, monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import {
	fingerprintOf,
	isClutter,
	lookOf,
	type Source,
	survey,
} from "../package/folder.ts";
import { Report } from "../package/report.ts";
import { sweepAttempts } from "./attempt/state.ts";
import {
	clearFaults,
	codeOf,
	FAULTS,
	framesOf,
	reportFaults,
} from "./faults.ts";
import { Limbo } from "./limbo.ts";
import {
	type Published,
	type PublishOptions,
	type PublishProgress,
	publish,
} from "./publish.ts";
import { listTitles } from "./titles.ts";

export interface IngestOptions
	extends Pick<PublishOptions, "operatorDir" | "blockSize" | "shardBlocks"> {
	readonly log: Log;
	/** An entry is taken once nothing in it has changed for this long; 5 s by default. */
	readonly quiet?: Millis;
	readonly onProgress?: (entry: string, progress: PublishProgress) => void;
	readonly onPublished?: (entry: string, published: Published) => void;
	/** An entry was not published; `report` is what its `.faults.txt` says. */
	readonly onFaults?: (entry: string, report: string) => void;
}

const MOVIE = /\.(mp4|m4v)$/i;
/** After what no change of the entry would mend, such as a full disk. */
const RETRY: Millis = MINUTE;
/** Looking again through entries that are done takes at most this share of the time. */
const SWEEP_SHARE = 0.01;
const SWEEP_PAUSE: Millis = 250;

/** What is known of one entry of the folder. */
interface Entry {
	/** What the log calls it. */
	readonly number: number;
	/** What it looked like last, and since when. */
	seen: string | undefined;
	since: Millis;
	/** What it looked like when it was published or found faulty. */
	done: string | undefined;
	timer: NodeJS.Timeout | undefined;
}

/**
 * Publishes what is put into an operator's `ingest/`: each folder or MP4 file there is one title, its name the asset id.
 * An entry with faults gets a `<entry>.faults.txt` beside it and is tried again when it changes; an entry that changes
 * after it was published becomes the next version. Publishes run one after the other. Names of entries are names of titles:
 * the log has their numbers instead, and reports say which number is whose.
 */
export class Ingest {
	private readonly options: IngestOptions;
	private readonly dir: string;
	private readonly quiet: Millis;
	private readonly limbo: Limbo;
	private readonly watcher: FSWatcher;
	private readonly entries = new Map<string, Entry>();
	/** How many entries there have been. */
	private counted = 0;
	private readonly closing = new AbortController();
	/** All that has been begun and not ended. */
	private readonly running = new Set<Promise<void>>();
	private turn: Promise<void> = Promise.resolve();
	private sweeper: NodeJS.Timeout | undefined;

	private constructor(options: IngestOptions) {
		this.options = options;
		this.dir = ingestDir(options);
		this.limbo = new Limbo(options.operatorDir);
		this.quiet = options.quiet ?? 5 * SECOND;
		// Only the folder itself: one watch for every file of every title would exhaust the system's watches.
		// Changes deeper down are found by looking again.
		this.watcher = watch(this.dir, { depth: 0 });
	}

	/** Starts watching; resolves when everything that lies there has been noticed. */
	static async start(options: IngestOptions): Promise<Ingest> {
		await mkdir(ingestDir(options), { recursive: true });
		await sweepAttempts(options.operatorDir);
		const ingest = new Ingest(options);
		const { watcher } = ingest;
		await new Promise<void>((resolve) => {
			watcher.on("all", (event, path) => ingest.notice(event, path));
			watcher.on("error", (error) =>
				options.log.error({ code: codeOf(error) }, "ingest is not watched"),
			);
			watcher.once("ready", resolve);
		});
		ingest.sweepIn(ingest.quiet);
		return ingest;
	}

	/** Stops; a publish under way is left to be resumed. */
	async close(): Promise<void> {
		this.closing.abort();
		clearTimeout(this.sweeper);
		for (const { timer } of this.entries.values()) clearTimeout(timer);
		await this.watcher.close();
		await Promise.all([...this.running, this.turn]);
	}

	private notice(event: string, path: string): void {
		const name = basename(path);
		if (dirname(path) !== this.dir || isClutter(name) || name.endsWith(FAULTS))
			return;
		const isFile = event === "add" || event === "change";
		if (isFile && !MOVIE.test(name)) {
			if (event === "add")
				this.options.log.warn(
					{},
					"a file in ingest is not taken: only folders and MP4 files are titles",
				);
			return;
		}
		const entry = this.entries.get(name) ?? fresh(++this.counted);
		this.entries.set(name, entry);
		entry.seen = undefined;
		this.checkIn(name, entry, 0);
	}

	private checkIn(name: string, entry: Entry, delay: Millis): void {
		clearTimeout(entry.timer);
		if (this.closing.signal.aborted) return;
		entry.timer = setTimeout(() => this.run(this.check(name, entry)), delay);
	}

	/** Looks at an entry, and takes it when it has looked the same for long enough. */
	private async check(name: string, entry: Entry): Promise<void> {
		const path = join(this.dir, name);
		let source: Source;
		try {
			source = await survey(path, new Report(), this.closing.signal);
		} catch (error) {
			if (this.closing.signal.aborted) return;
			if (systemCode(error) === "ENOENT") return await this.forget(name);
			this.checkIn(name, entry, RETRY);
			return await this.report(name, entry, error, false);
		}
		const look = lookOf(source);
		if (look === entry.done) return;
		if (look !== entry.seen) {
			entry.seen = look;
			entry.since = monotonic();
		}
		const left = entry.since + this.quiet - monotonic();
		if (left > 0)
			return this.checkIn(name, entry, Math.min(left, this.quiet / 4));
		this.turn = this.turn.then(() =>
			this.guard(this.take(name, entry, source)),
		);
	}

	private async take(
		name: string,
		entry: Entry,
		source: Source,
	): Promise<void> {
		const { operatorDir, blockSize, shardBlocks, log } = this.options;
		const { signal } = this.closing;
		const path = join(this.dir, name);
		const look = lookOf(source);
		if (this.entries.get(name) !== entry || entry.done === look) return;
		if (signal.aborted) return;
		try {
			if (!(await this.isPublished(path, source))) {
				const published = await publish(
					{
						operatorDir,
						source: path,
						kind: "title",
						...(blockSize && { blockSize }),
						...(shardBlocks && { shardBlocks }),
						onProgress: (progress) => this.options.onProgress?.(name, progress),
					},
					signal,
				);
				const { id, version } = published.title;
				log.info({ entry: entry.number, id, version }, "published");
				this.options.onPublished?.(name, published);
			}
			entry.done = look;
			await clearFaults(path);
		} catch (error) {
			if (signal.aborted) return;
			const code = error instanceof LarderError ? error.code : undefined;
			if (code === "PACKAGE_CHANGED") {
				entry.seen = undefined;
				return this.checkIn(name, entry, 0);
			}
			if (code === "PACKAGE_INVALID") entry.done = look;
			else this.checkIn(name, entry, RETRY);
			await this.report(name, entry, error, code === "PACKAGE_INVALID");
		}
	}

	private async isPublished(path: string, source: Source): Promise<boolean> {
		const { titles, damaged } = await listTitles(this.options.operatorDir);
		for (const record of damaged)
			this.options.log.error(record, "a title record cannot be read");
		const fingerprint = fingerprintOf(source);
		const name = basename(await realpath(path));
		const isThere = titles.some(
			(title) =>
				title.source.fingerprint === fingerprint &&
				basename(title.source.path) === name,
		);
		// What was taken back is not put on the shelf again of itself.
		return isThere || (await this.limbo.holds(name, fingerprint));
	}

	private async report(
		name: string,
		{ number }: Entry,
		error: unknown,
		final: boolean,
	): Promise<void> {
		const faulty = { path: join(this.dir, name), number, error, final };
		const text = await reportFaults(faulty, this.options.log);
		this.options.onFaults?.(name, text);
	}

	private async forget(name: string): Promise<void> {
		clearTimeout(this.entries.get(name)?.timer);
		this.entries.delete(name);
		await clearFaults(join(this.dir, name));
	}

	/** Looks again through entries that are done, one after the other, for changes deeper down. */
	private sweepIn(delay: Millis): void {
		if (this.closing.signal.aborted) return;
		this.sweeper = setTimeout(() => this.run(this.sweep()), delay);
	}

	private async sweep(): Promise<void> {
		const started = monotonic();
		const [next] = [...this.entries].filter(
			([, { done }]) => done !== undefined,
		);
		if (next !== undefined) {
			const [name, entry] = next;
			// To the end of the line.
			this.entries.delete(name);
			this.entries.set(name, entry);
			await this.check(name, entry);
		}
		const took = monotonic() - started;
		this.sweepIn(Math.max(this.quiet, SWEEP_PAUSE, took / SWEEP_SHARE));
	}

	private run(work: Promise<void>): void {
		const tracked = this.guard(work).finally(() =>
			this.running.delete(tracked),
		);
		this.running.add(tracked);
	}

	private async guard(work: Promise<void>): Promise<void> {
		try {
			await work;
		} catch (error) {
			if (!this.closing.signal.aborted)
				this.options.log.error(
					{ code: codeOf(error), at: framesOf(error) },
					"ingest failed",
				);
		}
	}
}

function ingestDir({ operatorDir }: IngestOptions): string {
	return join(resolve(operatorDir), "ingest");
}

function fresh(number: number): Entry {
	return {
		number,
		seen: undefined,
		since: 0,
		done: undefined,
		timer: undefined,
	};
}
