import { mkdir, statfs } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Bytes, formatBytes } from "../base/units.ts";
import { type Allowance, capacityOn, lookAgain } from "../plan/capacity.ts";
import type { StoreSize } from "../store/books.ts";
import type { ShardStore } from "../store/store.ts";
import type { Config } from "./config.ts";
import { bytesOf } from "./reader.ts";

/** What the household gives, and the part of the quota (0 to 1) kept for what is watched unplaced. */
export interface Gift extends Allowance {
	readonly streamingShare: number;
}

/** Makes the data folder if there is none, and resolves what is given on its disk. Throws STORE_UNUSABLE. */
export async function resolveGift(config: Config): Promise<Gift> {
	const { quota, reserve, streamingShare } = config.store;
	try {
		await mkdir(config.data, { recursive: true, mode: 0o700 });
		const { blocks, bsize } = await statfs(config.data);
		const disk = blocks * bsize;
		return {
			quota: bytesOf(quota, disk),
			reserve: bytesOf(reserve, disk),
			streamingShare,
		};
	} catch (cause) {
		const what = `the data folder ${config.data} cannot be used`;
		throw new LarderError("STORE_UNUSABLE", what, { cause });
	}
}

/** What the store may take of a capacity: all of it, and how much of that for what is watched unplaced. */
export function sizeOf(
	capacity: Bytes,
	{ streamingShare }: Pick<Gift, "streamingShare">,
): StoreSize {
	return { capacity, streamingShare: Math.floor(capacity * streamingShare) };
}

export interface SpaceOptions {
	readonly store: Pick<
		ShardStore,
		"usedBytes" | "capacity" | "streamingShare" | "resize"
	>;
	readonly gift: Gift;
	/** Bytes of the disk that are free for this process. */
	readonly free: () => Promise<Bytes>;
	readonly log: Log;
}

/** Keeps the store within what the disk has: recordings and others fill it, too, and leave it again. */
export class Space {
	private readonly options: SpaceOptions;
	private readonly listeners = new Set<() => void>();
	private timer: NodeJS.Timeout | undefined;
	/** Undefined until the disk was first seen. */
	private capacity: Bytes | undefined;
	private closed = false;

	private constructor(options: SpaceOptions) {
		this.options = options;
	}

	/** Looks at the disk, and from then on again and again. */
	static async watch(options: SpaceOptions): Promise<Space> {
		const space = new Space(options);
		await space.look();
		return space;
	}

	/** Always left free for others. */
	get reserve(): Bytes {
		return this.options.gift.reserve;
	}

	/** The store may take more, or less. */
	onChange(listener: () => void): void {
		this.listeners.add(listener);
	}

	/** Looks at the disk now. Never rejects: while it does not say what is free, the store stays as it is. */
	async look(): Promise<void> {
		clearTimeout(this.timer);
		const { store, gift, log } = this.options;
		let soon = lookAgain({ used: 0, free: 0 }, gift);
		try {
			const disk = { used: store.usedBytes, free: await this.options.free() };
			soon = lookAgain(disk, gift);
			this.take(capacityOn(disk, gift, this.capacity), disk.free);
		} catch (error) {
			log.warn({ err: error }, "the disk does not say what is free");
		}
		if (this.closed) return;
		this.timer = setTimeout(() => void this.look(), soon).unref();
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	private take(capacity: Bytes, free: Bytes): void {
		const { store, gift, log } = this.options;
		this.capacity = capacity;
		if (capacity === store.capacity) return;
		store.resize(sizeOf(capacity, gift));
		log.info(
			{ capacity, quota: gift.quota, reserve: gift.reserve, free },
			`room for ${formatBytes(capacity)} on this disk`,
		);
		for (const listener of this.listeners) listener();
	}
}

/** Bytes free for this process on the disk that a folder lies on. */
export async function freeOn(folder: string): Promise<Bytes> {
	const { bavail, bsize } = await statfs(folder);
	return bavail * bsize;
}
