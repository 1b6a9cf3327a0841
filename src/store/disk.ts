import { rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, monotonic, SECOND } from "../base/time.ts";
import { type Bytes, KiB, type Millis } from "../base/units.ts";
import type { DiskReport } from "../wire/reports.ts";
import { writeWhole } from "./files.ts";

/** A write that takes so long is trouble; one that waits for the medium may take a whole shard's time on a slow card. */
const SLOW: Millis = 2 * SECOND;
const SLOW_SYNC: Millis = 10 * SECOND;
/** Node has four threads for files: a disk that hangs must leave some to those who read. */
const SLOTS = 2;
/** So many shards that cannot be read so close together are no single bad spot. */
const SPOTS = 3;
const TOGETHER: Millis = 10 * MINUTE;
/** How soon it is tried again whether a disk in trouble takes writes; longer each time that it soon failed again. */
const FIRST_TRY: Millis = 2 * SECOND;
const LAST_TRY: Millis = MINUTE;

export type DiskState = DiskReport["state"];

export interface DiskOptions {
	readonly folder: string;
	readonly log: Log;
}

/**
 * How the disk does that the store lies on. All that writes to it goes through here, and while it is in trouble nothing is begun:
 * what lies there is served, and what comes passes it by.
 * Invariant: while `state` is not `good`, it is tried now and again whether the disk takes writes, and it is good once it does.
 */
export class Disk {
	private readonly options: DiskOptions;
	private readonly listeners = new Set<() => void>();
	private readonly waiting: (() => void)[] = [];
	private readonly counts = {
		unreadable: 0,
		changed: 0,
		mended: 0,
		scrubbed: 0,
	};
	/** When shards could not be read, by where they lie, oldest first. */
	private readonly spots = new Map<string, Millis>();
	private writing = 0;
	private current: DiskState = "good";
	private wait: Millis = FIRST_TRY;
	private goodSince: Millis = Number.NEGATIVE_INFINITY;
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(options: DiskOptions) {
		this.options = options;
	}

	/** Clears away what a probe left that the power cut short. Never rejects: a disk that takes no writes is served from. */
	async open(): Promise<void> {
		try {
			await rm(this.probed, { force: true });
			await rm(`${this.probed}.part`, { force: true });
		} catch (error) {
			this.failed(error);
		}
	}

	get state(): DiskState {
		return this.current;
	}

	get report(): DiskReport {
		return { state: this.current, ...this.counts };
	}

	/** The state is another. */
	onChange(listener: () => void): void {
		this.listeners.add(listener);
	}

	/** Settles as `work` does, which writes to the page cache. */
	write<T>(work: () => Promise<T>): Promise<T> {
		return this.during(SLOW, work);
	}

	/** The same for what waits for the medium. */
	sync<T>(work: () => Promise<T>): Promise<T> {
		return this.during(SLOW_SYNC, work);
	}

	/** Something on the disk failed, as the system says. */
	failed(error: unknown): void {
		const code = systemCode(error) ?? "";
		if (code === "EIO") this.counts.unreadable++;
		// One that loses what it holds is often made read-only for it: that is the lesser news.
		if (code === "EIO" || this.isWorn) this.turn("failing", error);
		else if (code === "EROFS") this.turn("read-only", error);
		else if (["ENOSPC", "EDQUOT"].includes(code)) this.turn("full", error);
	}

	/** A block or the leaves of the shard there are lost: the medium does not give them back, or they are not what was written. */
	lost(why: "unreadable" | "changed", spot: string): void {
		this.counts[why]++;
		if (why === "changed") return;
		this.spots.delete(spot);
		this.spots.set(spot, monotonic());
		if (this.isWorn)
			this.turn("failing", new Error(`${SPOTS} shards cannot be read`));
	}

	/** So many files were not as the books say. */
	mended(files: number): void {
		this.counts.mended += files;
	}

	/** So much was read through and is as it was written. */
	scrubbed(bytes: Bytes): void {
		this.counts.scrubbed += bytes;
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	private async during<T>(slow: Millis, work: () => Promise<T>): Promise<T> {
		if (this.writing < SLOTS) this.writing++;
		// Whoever leaves hands its slot on.
		else await new Promise<void>((resolve) => this.waiting.push(resolve));
		const late = setTimeout(() => {
			this.turn("slow", new Error(`a write takes longer than ${slow} ms`));
		}, slow);
		try {
			return await work();
		} finally {
			clearTimeout(late);
			const next = this.waiting.shift();
			if (next === undefined) this.writing--;
			else next();
		}
	}

	private turn(state: DiskState, why?: unknown): void {
		if (this.closed || state === this.current) return;
		const { log } = this.options;
		const was = this.current;
		this.current = state;
		if (state === "good") {
			this.goodSince = monotonic();
			log.info({ was }, "the disk takes writes again");
		} else {
			log.error({ err: why }, `the disk is ${state}`);
			const isRelapse = monotonic() - this.goodSince < LAST_TRY;
			this.wait = isRelapse ? Math.min(LAST_TRY, 2 * this.wait) : FIRST_TRY;
			this.tryAgain();
		}
		for (const listener of this.listeners) listener();
	}

	private tryAgain(): void {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => void this.probe(), this.wait).unref();
	}

	/** Never rejects. */
	private async probe(): Promise<void> {
		const before = this.current;
		try {
			const began = monotonic();
			await this.sync(async () => {
				await writeWhole(this.probed, Buffer.alloc(256 * KiB));
				await rm(this.probed);
			});
			// What was found meanwhile stands; a medium that loses what it holds is believed after a while of quiet only.
			const isQuick = monotonic() - began < SLOW;
			if (isQuick && !this.isWorn && this.current === before) this.turn("good");
		} catch (error) {
			this.options.log.debug({ err: error }, "the disk takes no writes yet");
			this.failed(error);
		}
		if (this.current !== "good" && !this.closed) this.tryAgain();
	}

	private get probed(): string {
		return join(this.options.folder, "probe");
	}

	private get isWorn(): boolean {
		for (const [spot, at] of this.spots) {
			if (monotonic() - at <= TOGETHER) break;
			this.spots.delete(spot);
		}
		return this.spots.size >= SPOTS;
	}
}
