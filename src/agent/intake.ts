import type { Stats } from "node:fs";
import {
	lstat,
	mkdir,
	readdir,
	readFile,
	rename,
	rmdir,
} from "node:fs/promises";
import { join } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import type { Room } from "../act/room.ts";
import { describe, LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { shardFileBytes } from "../content/geometry.ts";
import { unlinkIfThere } from "../store/files.ts";
import { takeIn } from "../store/intake.ts";
import { ShardDamaged } from "../store/opening.ts";
import { MANIFEST } from "../store/scan.ts";
import type { ShardStore } from "../store/store.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";

/** A stick that is put where the folder is tells of nothing; and what there was no room for, there may be. */
const ROUND: Millis = MINUTE;
/** What changed within so long may still be written to. */
const QUIET: Millis = 5 * SECOND;
/** What was not what it says gets this at the end of its name. */
const WRONG = ".wrong";

export interface IntakeOptions {
	/** `<folder>/<title id>/<shard>`, with `<title id>/manifest` beside where the box may not have it. */
	readonly folder: string;
	readonly store: ShardStore;
	readonly room: Pick<Room, "find" | "use">;
	readonly isPlaced: (id: TitleId, shard: number) => boolean;
	/** Whether the operator offers a title, and has not taken it back. */
	readonly isListed: (id: TitleId) => Promise<boolean>;
	/** Whether disk and household have the time. */
	readonly may: () => boolean;
	readonly log: Log;
}

/** What came of the folder since the start, in shards. */
export interface Taken {
	taken: number;
	/** Not what they say they are. */
	wrong: number;
	/** There is no room for them, or nobody knows what they are. */
	waiting: number;
}

/** `later`: it may still be written to. `done`: it was taken in before, from where nothing can be removed. */
type Outcome = keyof Taken | "later" | "done";

/**
 * Takes in shards that somebody brings on a stick, or put on the disk before the box was ever on: the folder is the queue. What is
 * taken in leaves it, what is no shard stays under another name.
 */
export class Intake {
	readonly figures: Taken = { taken: 0, wrong: 0, waiting: 0 };
	private readonly options: IntakeOptions;
	private readonly watcher: FSWatcher;
	private readonly rounds: NodeJS.Timeout;
	private readonly closing = new AbortController();
	/** On what can only be read: what was taken from there stays. */
	private readonly done = new Set<string>();
	private timer: NodeJS.Timeout | undefined;
	private looking: Promise<void> = Promise.resolve();

	private constructor(options: IntakeOptions) {
		this.options = options;
		this.watcher = watch(options.folder, { depth: 1, ignoreInitial: true });
		this.watcher.on("all", () => this.soon(QUIET));
		this.watcher.on("error", (error) =>
			options.log.warn({}, `the inbox cannot be watched: ${describe(error)}`),
		);
		this.rounds = setInterval(() => this.soon(0), ROUND).unref();
		this.soon(0);
	}

	static async open(options: IntakeOptions): Promise<Intake> {
		await mkdir(options.folder, { recursive: true, mode: 0o700 });
		return new Intake(options);
	}

	/** Something else is placed: what waited for that need not be fetched. */
	reconsider(): void {
		this.soon(0);
	}

	async close(): Promise<void> {
		this.closing.abort(new DOMException("closing", "AbortError"));
		clearTimeout(this.timer);
		clearInterval(this.rounds);
		await this.watcher.close();
		await this.looking;
	}

	private soon(after: Millis): void {
		clearTimeout(this.timer);
		if (this.closing.signal.aborted) return;
		this.timer = setTimeout(() => {
			this.looking = this.looking.then(() => this.look());
		}, after);
		this.timer.unref();
	}

	/** Never rejects. */
	private async look(): Promise<void> {
		const { folder, log } = this.options;
		let waiting = 0;
		try {
			for (const name of await readdir(folder)) {
				if (isTitleId(name)) waiting += await this.title(name);
			}
			this.figures.waiting = waiting;
		} catch (error) {
			if (this.closing.signal.aborted) return;
			log.warn({}, `the inbox cannot be read: ${describe(error)}`);
		}
	}

	/** How many of its shards have to wait. */
	private async title(id: TitleId): Promise<number> {
		const folder = join(this.options.folder, id);
		const { taken } = this.figures;
		let waiting = 0;
		let later = false;
		for (const name of await namesIn(folder)) {
			const shard = /^(0|[1-9]\d{0,6})$/.test(name) ? Number(name) : undefined;
			if (shard === undefined || !this.options.may()) continue;
			const outcome = await this.file(id, shard, join(folder, name));
			if (outcome === "later") later = true;
			else if (outcome === "waiting") waiting++;
			else if (outcome !== "done") this.figures[outcome]++;
		}
		if (later) this.soon(QUIET);
		const shards = this.figures.taken - taken;
		if (shards > 0) this.options.log.info({ shards }, "taken in");
		await this.tidy(folder);
		return waiting;
	}

	private async file(
		id: TitleId,
		shard: number,
		path: string,
	): Promise<Outcome> {
		const { store, room, isPlaced } = this.options;
		const { signal } = this.closing;
		signal.throwIfAborted();
		const stats = await lstat(path);
		if (this.done.has(keyOf(path, stats))) return "done";
		// What another clock wrote, or this one before it was put back, may be of the future.
		if (Math.abs(Date.now() - stats.mtimeMs) < QUIET) return "later";
		if (!(await this.knows(id, shard))) return "waiting";
		const geometry = store.geometry(id);
		if (geometry === undefined) return "waiting";
		const end = room.use(id, shard);
		try {
			const bytes = shardFileBytes(geometry, shard);
			// Its copying was cut off, and somebody may begin anew.
			if (stats.size < bytes) return "waiting";
			const has = store.inventory(id)?.held.has(shard) ?? false;
			if (!has && !isPlaced(id, shard) && !room.find(id, shard, bytes))
				return "waiting";
			if (!has) await takeIn(store, id, shard, path, signal);
			await this.clear(path, stats);
			return has ? "done" : "taken";
		} catch (error) {
			return await this.refuse(path, error);
		} finally {
			end();
		}
	}

	/** Whether the operator wants it here, or at least offers it, and its manifest is here. */
	private async knows(id: TitleId, shard: number): Promise<boolean> {
		const { store, folder, isPlaced, isListed } = this.options;
		if (!isPlaced(id, shard) && !(await isListed(id))) return false;
		if (store.geometry(id) !== undefined) return true;
		try {
			await store.putManifest(id, await readFile(join(folder, id, MANIFEST)));
			return true;
		} catch (error) {
			if (systemCode(error) === "ENOENT") return false;
			if (error instanceof LarderError && error.code === "MANIFEST_INVALID") {
				await this.refuse(join(folder, id, MANIFEST), error);
				return false;
			}
			throw error;
		}
	}

	/** It is in the store. */
	private async clear(path: string, stats: Stats): Promise<void> {
		try {
			await unlinkIfThere(path);
		} catch {
			// A stick that cannot be written to.
			this.done.add(keyOf(path, stats));
		}
	}

	private async refuse(path: string, error: unknown): Promise<Outcome> {
		const { log } = this.options;
		if (this.closing.signal.aborted) throw error;
		const isFull = error instanceof LarderError && error.code === "STORE_FULL";
		if (isFull) return "waiting";
		log.warn({}, `not taken in: ${describe(error)}`);
		const isWrong =
			error instanceof ShardDamaged ||
			(error instanceof LarderError && error.code === "MANIFEST_INVALID");
		if (!isWrong) return "waiting";
		try {
			await rename(path, `${path}${WRONG}`);
		} catch {
			this.done.add(keyOf(path, await lstat(path)));
		}
		return "wrong";
	}

	/** A folder in which nothing but the manifest is left. */
	private async tidy(folder: string): Promise<void> {
		const names = await namesIn(folder);
		if (names.some((name) => name !== MANIFEST)) return;
		try {
			await unlinkIfThere(join(folder, MANIFEST));
			await rmdir(folder);
		} catch (error) {
			const code = systemCode(error) ?? "";
			if (!["ENOENT", "ENOTEMPTY", "EROFS", "EACCES"].includes(code))
				throw error;
		}
	}
}

/** What lies under this name now. */
function keyOf(path: string, { mtimeMs, size }: Stats): string {
	return `${path} ${mtimeMs} ${size}`;
}

async function namesIn(folder: string): Promise<string[]> {
	try {
		return await readdir(folder);
	} catch (error) {
		if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return [];
		throw error;
	}
}
