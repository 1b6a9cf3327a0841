import { type Bytes, MiB } from "../../base/units.ts";

/** Bytes that may have come and not be on disk before fill stops asking for more. */
const LIMIT: Bytes = 4 * MiB;

/**
 * What has come and is not on disk yet, over all shards: a disk that is slower than the network must not fill the memory.
 * Invariant: `bytes` is the sum of `writes`, those under way.
 */
export class Backlog {
	private bytes: Bytes = 0;
	private readonly writes = new Set<Promise<void>>();
	private readonly onDrained: () => void;

	/** @param onDrained called when there is room again after there was none */
	constructor(onDrained: () => void) {
		this.onDrained = onDrained;
	}

	get full(): boolean {
		return this.bytes >= LIMIT;
	}

	/** So far behind that what viewers get is not kept either. */
	get overflowing(): boolean {
		return this.bytes >= 2 * LIMIT;
	}

	/** Resolves when no write is under way. */
	async ended(): Promise<void> {
		await Promise.allSettled(this.writes);
	}

	/** Counts a write until it has ended, well or not. */
	async during(bytes: Bytes, write: Promise<void>): Promise<void> {
		this.bytes += bytes;
		this.writes.add(write);
		try {
			await write;
		} finally {
			this.writes.delete(write);
			const wasFull = this.full;
			this.bytes -= bytes;
			if (wasFull && !this.full) this.onDrained();
		}
	}
}
