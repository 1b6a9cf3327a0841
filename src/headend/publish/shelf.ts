import type { FSWatcher } from "chokidar";
import { watch } from "chokidar";
import { LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import {
	type DamagedRecord,
	listTitles,
	type TitleRecord,
	titlesDir,
} from "./titles.ts";

/** Records that come together are taken up together. */
const QUIET: Millis = 300;
/** What failed is tried again after so long. */
const RETRY: Millis = 5 * SECOND;

/**
 * The published titles: the folder of their records is the truth, whoever publishes into it. A record that is gone is a
 * title that is gone, and boxes throw it away; so one that cannot be read must never look like that.
 * Invariant: `titles` is what the folder held at the last look, with a damaged record as it was before.
 */
export class TitleShelf {
	private readonly dir: string;
	private readonly log: Log;
	private readonly retry: Millis;
	private readonly watcher: FSWatcher;
	private records: readonly TitleRecord[] = [];
	private onChange: (() => Promise<void>) | undefined;
	/** Set from the first change until it has been taken up. */
	private timer: NodeJS.Timeout | undefined;
	private again = false;
	private taking: Promise<void> = Promise.resolve();
	private closed = false;

	private constructor(dir: string, log: Log, retry: Millis) {
		this.dir = dir;
		this.log = log;
		this.retry = retry;
		this.watcher = watch(titlesDir(dir), { depth: 0, ignoreInitial: true });
	}

	/** Reads the folder. Throws OPERATOR_INVALID naming a record that is damaged. */
	static async open(dir: string, log: Log, retry = RETRY): Promise<TitleShelf> {
		const shelf = new TitleShelf(dir, log, retry);
		try {
			// First the watch, then the look: a title that comes in between is seen by one of the two.
			await new Promise<void>((resolve, reject) => {
				shelf.watcher.once("ready", resolve);
				shelf.watcher.once("error", reject);
			});
			const [damaged] = await shelf.look();
			if (damaged !== undefined)
				throw new LarderError(
					"OPERATOR_INVALID",
					`${damaged.path}: ${damaged.why}`,
				);
		} catch (error) {
			await shelf.watcher.close();
			throw error;
		}
		shelf.watcher.on("all", () => shelf.later(QUIET));
		shelf.watcher.on("error", (error) => {
			log.error({ err: error }, "new titles are not noticed");
		});
		return shelf;
	}

	get titles(): readonly TitleRecord[] {
		return this.records;
	}

	/** Calls `onChange` after each change from now on, again after a while when it rejects. */
	follow(onChange: () => Promise<void>): void {
		this.onChange = onChange;
		this.later(0);
	}

	async close(): Promise<void> {
		this.closed = true;
		clearTimeout(this.timer);
		await this.watcher.close();
		await this.taking;
	}

	private later(delay: Millis): void {
		if (this.closed) return;
		this.again = true;
		this.timer ??= setTimeout(() => {
			this.taking = this.take();
		}, delay);
	}

	private async take(): Promise<void> {
		this.again = false;
		let next = QUIET;
		try {
			for (const { path, why } of await this.look())
				this.log.error({ path, why }, "a title's record is damaged");
			await this.onChange?.();
		} catch (error) {
			this.log.error({ err: error }, "new titles were not taken up");
			this.again = true;
			next = this.retry;
		}
		this.timer = undefined;
		if (this.again) this.later(next);
	}

	private async look(): Promise<readonly DamagedRecord[]> {
		const { titles, damaged } = await listTitles(this.dir);
		const lost = new Set(damaged.map(({ id }) => id));
		const before = this.records.filter(({ id }) => lost.has(id));
		this.records = [...titles, ...before];
		return damaged;
	}
}
