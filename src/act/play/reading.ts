import { LarderError } from "../../base/errors.ts";
import type { Millis } from "../../base/units.ts";
import type { Level } from "../../wire/near.ts";
import type { Miss } from "../../wire/quality.ts";
import type { BlockFetch } from "../fetch/fetcher.ts";
import type { Source } from "../ports.ts";

/** Ciphertext of a block, and where it came from. */
export interface Piece {
	readonly block: number;
	/** Whoever has deciphered them lets go of them: a slow player is to hold what it reads, and not what that was made of, too. */
	bytes: Buffer;
	readonly source: Source;
	/** How near that is; FAR of disk and origin. */
	readonly level: Level;
	/** Why it came over the trunk, if it did. */
	readonly miss: Miss | undefined;
}

export interface ReadingPorts {
	/** How many blocks are asked for ahead of what the player takes. */
	readonly reach: () => number;
	readonly isOnDisk: (block: number) => boolean;
	/** As many of the blocks from here on as lie in a row on disk, at most up to `last`; none when the first cannot be read. */
	readonly fromDisk: (block: number, last: number) => Promise<Piece[]>;
	/** When the player needs a block, by the monotonic clock. */
	readonly deadlineOf: (block: number) => Millis;
	readonly fetch: (block: number, deadline: Millis) => BlockFetch;
	/** A block could not be had. */
	readonly onMissed: (cause: Miss) => void;
}

/**
 * One read of the blocks [first, last], in order.
 * Invariant: `coming` holds what this read has asked for and not given yet, all before `edge`.
 */
export class Reading {
	private readonly ports: ReadingPorts;
	private readonly last: number;
	private readonly coming = new Map<number, BlockFetch>();
	/** The first block that has not been looked at. */
	private edge: number;

	constructor(first: number, last: number, ports: ReadingPorts) {
		this.ports = ports;
		this.last = last;
		this.edge = first;
	}

	/** Throws TITLE_UNAVAILABLE when a block cannot be had. Ending the iteration ends what was asked for. */
	async *pieces(signal: AbortSignal): AsyncGenerator<Piece> {
		const cancel = () => this.cancel();
		signal.addEventListener("abort", cancel, { once: true });
		try {
			for (let block = this.edge; block <= this.last; ) {
				signal.throwIfAborted();
				for (const piece of await this.next(block)) {
					yield piece;
					block++;
				}
			}
		} finally {
			signal.removeEventListener("abort", cancel);
			cancel();
		}
	}

	/** When the player needs a block, here or further on. */
	deadlineOf(block: number): Millis {
		return this.ports.deadlineOf(block);
	}

	/** At least one piece, from `block` on. */
	private async next(block: number): Promise<Piece[]> {
		this.lookAhead(block);
		const isOnDisk = !this.coming.has(block) && this.ports.isOnDisk(block);
		if (isOnDisk) {
			const pieces = await this.ports.fromDisk(block, this.lastOnDisk(block));
			if (pieces.length > 0) return pieces;
		}
		// On disk, but not to be read: it is fetched like any other.
		const fetch = this.coming.get(block) ?? this.fetch(block);
		this.coming.set(block, fetch);
		try {
			const { miss, ...got } = await fetch.result;
			this.coming.delete(block);
			return [{ ...got, block, miss: miss && isOnDisk ? "disk" : miss }];
		} catch (error) {
			if (error instanceof LarderError)
				this.ports.onMissed(isOnDisk ? "disk" : fetch.whyMissed());
			throw error;
		}
	}

	/** Asks for what lies ahead, in lots: a request for one block at a time would be slow. */
	private lookAhead(block: number): void {
		const { isOnDisk } = this.ports;
		const reach = this.ports.reach();
		const end = Math.min(this.last + 1, block + reach);
		const due = this.edge <= block || this.edge - block <= reach / 2;
		if (!due) return;
		for (this.edge = Math.max(this.edge, block); this.edge < end; this.edge++) {
			if (isOnDisk(this.edge)) continue;
			this.coming.set(this.edge, this.fetch(this.edge));
		}
	}

	private fetch(block: number): BlockFetch {
		return this.ports.fetch(block, this.deadlineOf(block));
	}

	/** What is coming anyway is not read from disk: it would be given twice. */
	private lastOnDisk(block: number): number {
		let last = block;
		while (last < this.last && !this.coming.has(last + 1)) last++;
		return last;
	}

	private cancel(): void {
		for (const fetch of this.coming.values()) fetch.cancel();
		this.coming.clear();
	}
}
