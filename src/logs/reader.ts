import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import type { Catalog } from "../act/ports.ts";
import { describe, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { HOUR, MINUTE, monotonic } from "../base/time.ts";
import { KiB, type Millis } from "../base/units.ts";
import type { CatalogEntry } from "../wire/catalog.ts";
import { short, type TitleId } from "../wire/ids.ts";
import { type CatalogFault, Follower } from "./follower.ts";

/** A log that does not come on for so long is opened anew, and each time later. */
const FIRST_REST: Millis = MINUTE;
const LAST_REST: Millis = HOUR;

export type { CatalogFault } from "./follower.ts";

/** How much of the log is here: blocks read, and blocks that the head speaks of (0 before the first head). */
export interface CatalogProgress {
	readonly have: number;
	readonly expected: number;
}

/**
 * The box's side of the catalog: a whole copy of the log that the head names.
 * When the head names another log, the entries of the old one stay until the new one is here as far as the head says,
 * so that no viewer sees the catalog empty while the headend comes back.
 * Invariant: `current` is what is shown and what `<dir>/current` names; `next` is a log on its way to replace it.
 * All changes of the two happen one after the other in `turn`.
 */
export class CatalogReader implements Catalog {
	private current: Follower | undefined;
	private next: Follower | undefined;
	private expected = 0;
	private turn: Promise<void> = Promise.resolve();
	/** How far the log was when it was last looked whether it comes on, and how long it may rest before it is opened anew. */
	private seen = { length: -1, at: monotonic() };
	private patience: Millis = FIRST_REST;
	private readonly timer: NodeJS.Timeout;
	private closed = false;
	private readonly streams = new Set<NoiseStream>();
	private readonly listeners = new Set<() => void>();
	private readonly dir: string;
	private readonly log: Log;
	private readonly onFault: (fault: CatalogFault) => void;

	constructor(dir: string, log: Log, onFault: (fault: CatalogFault) => void) {
		this.dir = dir;
		this.log = log;
		this.onFault = onFault;
		this.timer = setInterval(() => this.look(), FIRST_REST / 4).unref();
	}

	/** Entries as far as the log is on disk. Never waits for the network. */
	async list(): Promise<readonly CatalogEntry[]> {
		return [...(this.current?.entries.values() ?? [])];
	}

	async get(id: TitleId): Promise<CatalogEntry | undefined> {
		return this.current?.entries.get(id);
	}

	get progress(): CatalogProgress {
		const { length = 0 } = this.next ?? this.current ?? {};
		return { have: length, expected: this.expected };
	}

	/** Calls `listener` whenever entries may have changed; the function given back ends it. */
	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/**
	 * Follows the log that the newest head names.
	 * @param key 64 hex digits
	 * @param length blocks
	 * @throws LarderError STORE_UNUSABLE
	 */
	follow(key: string, length: number): Promise<void> {
		return this.inTurn(async () => {
			const followed = this.next ?? this.current;
			if (followed?.key !== key) await this.change(key);
			else if (length < this.expected)
				this.report(
					"catalog-shrunk",
					`${length} blocks, ${this.expected} before`,
				);
			this.expected = length;
			await this.promote();
		});
	}

	/** Exchanges the log on a member's connection, beside whatever else its Protomux carries. */
	replicate(stream: NoiseStream): void {
		if (this.closed || stream.destroyed || this.streams.has(stream)) return;
		this.streams.add(stream);
		stream.once("close", () => this.streams.delete(stream));
		this.current?.replicate(stream);
		this.next?.replicate(stream);
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.inTurn(async () => {
			this.closed = true;
			await this.next?.close();
			await this.current?.close();
		});
	}

	/** Opens the log that was shown last, and removes whatever else lies in the folder. */
	async resume(): Promise<void> {
		await mkdir(this.dir, { recursive: true });
		const key = await readFile(join(this.dir, "current"), "utf8").catch(
			(error: unknown) => {
				if (systemCode(error) === "ENOENT") return "";
				throw error;
			},
		);
		for (const name of await readdir(this.dir))
			if (name !== "current" && name !== key) await this.remove(name);
		if (!/^[0-9a-f]{64}$/.test(key)) return;
		try {
			this.current = await this.open(key);
		} catch (error) {
			if (await takesWrites(this.dir)) throw error;
			// What is on the disk can still be given and played by who knows it.
			this.report("catalog-damaged", describe(error));
		}
	}

	/**
	 * A log that a disk in trouble keeps from coming on is opened anew once the disk takes writes; so is one that rests for long,
	 * for nobody tells whether that is why.
	 */
	private look(): void {
		const followed = this.next ?? this.current;
		if (followed === undefined) return;
		const { length, isFixed } = followed;
		const isBehind = length < this.expected && this.streams.size > 0;
		if (length !== this.seen.length || !(isFixed || isBehind)) {
			this.seen = { length, at: monotonic() };
			this.patience = FIRST_REST;
			return;
		}
		if (monotonic() - this.seen.at < this.patience) return;
		this.seen = { length, at: monotonic() };
		this.patience = Math.min(LAST_REST, 2 * this.patience);
		this.inTurn(() => this.reopen(followed)).catch((error: unknown) =>
			this.report("catalog-damaged", describe(error)),
		);
	}

	private async reopen(followed: Follower): Promise<void> {
		const isNext = followed === this.next;
		if (!isNext && followed !== this.current) return;
		if (!(await takesWrites(this.dir))) return;
		await followed.close();
		const follower = await this.open(followed.key);
		for (const stream of this.streams) follower.replicate(stream);
		if (isNext) this.next = follower;
		else this.current = follower;
		this.announce();
	}

	private async change(key: string): Promise<void> {
		if (this.next !== undefined) await this.discard(this.next);
		this.next = undefined;
		if (this.current?.key === key) return;
		const follower = await this.open(key);
		for (const stream of this.streams) follower.replicate(stream);
		if (this.current === undefined) await this.show(follower);
		else this.next = follower;
		this.log.info({ log: short(key) }, "following another catalog log");
	}

	/** The next log takes over once it is here as far as the head says. */
	private async promote(): Promise<void> {
		const { current, next } = this;
		if (next === undefined || next.length < this.expected) return;
		this.next = undefined;
		await this.show(next);
		if (current !== undefined) await this.discard(current);
	}

	private async show(follower: Follower): Promise<void> {
		this.current = follower;
		this.announce();
		const name = join(this.dir, "current");
		try {
			await writeFile(`${name}.part`, follower.key, { flush: true });
			await rename(`${name}.part`, name);
		} catch (error) {
			// Only the next start needs it.
			this.log.warn({}, `the catalog's place is not kept: ${describe(error)}`);
		}
	}

	private async discard(follower: Follower): Promise<void> {
		await follower.close();
		await this.remove(follower.key);
	}

	/** A log that does not open is a lost copy: it is removed and fetched again, unless the disk takes no writes. */
	private async open(key: string): Promise<Follower> {
		const folder = join(this.dir, key);
		const events = {
			onProgress: () => this.onProgress(key),
			onFault: (fault: CatalogFault, detail: string) =>
				this.report(fault, detail),
		};
		try {
			return await Follower.open(folder, key, events);
		} catch (error) {
			// Held open by another process: nothing is wrong with it.
			if (/lock/i.test(describe(error))) throw error;
			if (!(await takesWrites(this.dir)))
				return await Follower.open(folder, key, events, true);
			this.report("catalog-damaged", describe(error));
			await this.remove(key);
			return await Follower.open(folder, key, events);
		}
	}

	private onProgress(key: string): void {
		if (this.current?.key === key) this.announce();
		else
			this.inTurn(() => this.promote()).catch((error: unknown) =>
				this.report("catalog-damaged", describe(error)),
			);
	}

	private announce(): void {
		for (const listener of this.listeners) listener();
	}

	private report(fault: CatalogFault, detail: string): void {
		this.log.warn({ fault, detail }, "something is wrong with the catalog log");
		this.onFault(fault);
	}

	/** Never rejects: what is left is removed at the next start. */
	private async remove(name: string): Promise<void> {
		try {
			await rm(join(this.dir, name), { recursive: true, force: true });
		} catch (error) {
			this.log.warn({}, `an old catalog log is left: ${describe(error)}`);
		}
	}

	private inTurn(work: () => Promise<void>): Promise<void> {
		const mine = this.turn.then(async () => {
			if (!this.closed) await work();
		});
		this.turn = mine.catch(() => undefined);
		return mine;
	}
}

/** Whether the disk that a folder lies on takes a small file. */
async function takesWrites(dir: string): Promise<boolean> {
	const probe = join(dir, "probe");
	try {
		// More than file systems keep in a folder's own entry, and than a full one has left by chance.
		await writeFile(probe, Buffer.alloc(64 * KiB), { flush: true });
		return true;
	} catch {
		return false;
	} finally {
		// Where it cannot go it takes no room either.
		await rm(probe, { force: true }).catch(() => undefined);
	}
}

/**
 * Opens the box's copy of the catalog, readable at once without any network.
 *
 * @param dir the folder of the copy
 * @param onFault called with a slug for whatever is wrong with the log; none of it stops the box
 * @throws LarderError STORE_UNUSABLE
 */
export async function openCatalogReader(
	dir: string,
	log: Log,
	onFault: (fault: CatalogFault) => void = () => {},
): Promise<CatalogReader> {
	const reader = new CatalogReader(dir, log, onFault);
	await reader.resume();
	return reader;
}
