import { mkdir, statfs } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import { type Bytes, formatBytes, type Millis } from "../base/units.ts";
import { capacityOn } from "../plan/capacity.ts";
import type { ShardStore } from "../store/store.ts";
import type { Config } from "./config.ts";

/** How often the disk is looked at anew. */
const EVERY: Millis = 10 * SECOND;

/** What the configuration gives in bytes on this disk, and the part of it (0 to 1) kept for what is watched unplaced. */
export interface Allowance {
	readonly quota: Bytes;
	readonly streamingShare: number;
}

/** Makes the data folder if there is none, and resolves the quota on its disk. Throws STORE_UNUSABLE. */
export async function resolveQuota(config: Config): Promise<Allowance> {
	const { quota, streamingShare } = config.store;
	try {
		await mkdir(config.data, { recursive: true, mode: 0o700 });
		const { blocks, bsize } = await statfs(config.data);
		const disk = blocks * bsize;
		const bytes =
			quota.kind === "bytes" ? quota.bytes : Math.floor(disk * quota.share);
		return { quota: bytes, streamingShare };
	} catch (cause) {
		const what = `the data folder ${config.data} cannot be used`;
		throw new LarderError("STORE_UNUSABLE", what, { cause });
	}
}

/** What the store may take of a capacity: all of it, and how much of that for what is watched unplaced. */
export function sizeOf(capacity: Bytes, { streamingShare }: Allowance) {
	return { capacity, streamingShare: Math.floor(capacity * streamingShare) };
}

export interface SpaceOptions {
	readonly store: Pick<
		ShardStore,
		"usedBytes" | "capacity" | "streamingShare" | "resize"
	>;
	readonly allowance: Allowance;
	/** Bytes of the disk that are free for this process. */
	readonly free: () => Promise<Bytes>;
	readonly log: Log;
}

/** Keeps the store within what the disk has: recordings and others fill it, too, and leave it again. */
export class Space {
	private readonly options: SpaceOptions;
	private readonly timer: NodeJS.Timeout;
	/** Undefined until the disk was first seen. */
	private capacity: Bytes | undefined;

	private constructor(options: SpaceOptions) {
		this.options = options;
		this.timer = setInterval(() => void this.look(), EVERY).unref();
	}

	/** Looks at the disk, and from then on now and again. */
	static async watch(options: SpaceOptions): Promise<Space> {
		const space = new Space(options);
		await space.look();
		return space;
	}

	/** Looks at the disk now. Never rejects: while it does not say what is free, the store stays as it is. */
	async look(): Promise<void> {
		const { store, allowance, log } = this.options;
		const { quota } = allowance;
		try {
			const free = await this.options.free();
			const disk = { used: store.usedBytes, free };
			const capacity = capacityOn(disk, quota, this.capacity);
			this.capacity = capacity;
			if (capacity === store.capacity) return;
			store.resize(sizeOf(capacity, allowance));
			log.info(
				{ capacity, quota, free },
				`room for ${formatBytes(capacity)} on this disk`,
			);
		} catch (error) {
			log.warn({ err: error }, "the disk does not say what is free");
		}
	}

	close(): void {
		clearInterval(this.timer);
	}
}

/** Bytes free for this process on the disk that a folder lies on. */
export async function freeOn(folder: string): Promise<Bytes> {
	const { bavail, bsize } = await statfs(folder);
	return bavail * bsize;
}
