import { randomBytes } from "node:crypto";
import { SECOND } from "../base/time.ts";
import type { Bytes } from "../base/units.ts";
import { applyCipher, type TitleCipher } from "../content/cipher.ts";
import { type BlockRun, blocksIn, shardCount } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Status } from "../wire/ipc.ts";
import type { Fetcher } from "./fetcher.ts";
import type { Ledger } from "./ledger.ts";
import type { OpenTitle, Source, Store } from "./ports.ts";
import type { Room } from "./room.ts";

/** Blocks that one read asks for ahead of what the player takes: 1 MiB. The first ones are urgent. */
const READ_AHEAD = 16;
const URGENT = 4;
/** Blocks fetched beyond the last read, for the next segment: 4 MiB. */
const PREFETCH = 64;
/** Blocks read from disk in one go. */
const DISK_RUN = 16;
/** A player that asked for nothing for so long has no more prefetched for it. */
const PREFETCH_IDLE = 10 * SECOND;

export interface StreamPorts {
	readonly store: Store;
	readonly fetcher: Fetcher;
	readonly room: Room;
	readonly ledger: Ledger;
}

interface Piece {
	readonly bytes: Buffer;
	readonly source: Source;
}

/**
 * One title being played on this box. Blocks are numbered through the whole title (shard * shardBlocks + block).
 * Reads fetch what they need under the player's signal; what lies ahead of the furthest read is prefetched under the title's.
 */
export class Stream implements OpenTitle {
	readonly id: TitleId;
	readonly manifest: Manifest;
	lastRead = Date.now();
	private readonly opened = Date.now();
	private readonly streamId = randomBytes(8).toString("hex");
	private bytes: Bytes = 0;
	private readonly sources = new Set<Source>();
	private readonly cipher: TitleCipher;
	private readonly ports: StreamPorts;
	private readonly end: () => void;
	private readers = 0;
	private readonly ahead = new Map<number, Promise<void>>();
	/** Where blocks came from that were fetched for this stream and not yet played. */
	private readonly fetched = new Map<number, Source>();
	private prefetching = new AbortController();
	private idle: NodeJS.Timeout | undefined;

	/** @param end called at `close` */
	constructor(
		id: TitleId,
		manifest: Manifest,
		cipher: TitleCipher,
		ports: StreamPorts,
		end: () => void,
	) {
		this.id = id;
		this.manifest = manifest;
		this.cipher = cipher;
		this.ports = ports;
		this.end = end;
	}

	get reading(): boolean {
		return this.readers > 0;
	}

	async *read(
		offset: Bytes,
		length: Bytes,
		signal: AbortSignal,
	): AsyncGenerator<Buffer> {
		const { blockSize, size } = this.manifest;
		const end = Math.min(offset + length, size);
		if (end <= offset) return;
		this.readers++;
		const own = new AbortController();
		const both = AbortSignal.any([signal, own.signal]);
		let complete = false;
		try {
			const last = Math.floor((end - 1) / blockSize);
			const first = Math.floor(offset / blockSize);
			for await (const { block, piece } of this.pieces(first, last, both)) {
				const start = block * blockSize;
				const from = Math.max(offset, start);
				const to = Math.min(end, start + piece.bytes.length);
				const text = piece.bytes.subarray(from - start, to - start);
				this.count(piece.source, text.length);
				yield applyCipher(this.cipher, from, text);
			}
			complete = true;
		} finally {
			own.abort();
			this.readers--;
			this.lastRead = Date.now();
			// The player went away: nothing more is fetched for it.
			if (!complete && this.readers === 0) this.stopPrefetch();
		}
	}

	/** What this stream does, under an id that lives as long as the stream. */
	summary(): Status["streams"][number] {
		const seconds = Math.max(1, (Date.now() - this.opened) / 1000);
		return {
			id: this.streamId,
			title: this.id,
			bytes: this.bytes,
			rate: this.bytes / seconds,
			sources: this.sources.size,
		};
	}

	close(): void {
		this.stopPrefetch();
		this.end();
	}

	/** Blocks in order: runs from disk in one read, others fetched some way ahead. */
	private async *pieces(
		first: number,
		last: number,
		signal: AbortSignal,
	): AsyncGenerator<{ block: number; piece: Piece }> {
		const coming = new Map<number, Promise<Piece>>();
		for (let block = first; block <= last; ) {
			signal.throwIfAborted();
			for (const piece of await this.fromDisk(block, last, coming)) {
				this.prefetch(block);
				yield { block: block++, piece };
			}
			if (block > last) return;
			for (let b = block; b <= Math.min(last, block + READ_AHEAD); b++) {
				if (coming.has(b) || this.isOnDisk(b)) continue;
				coming.set(b, this.fetch(b, b < block + URGENT, signal));
			}
			const piece = await coming.get(block);
			if (piece === undefined) continue;
			coming.delete(block);
			this.prefetch(block);
			yield { block: block++, piece };
		}
	}

	private async fromDisk(
		block: number,
		last: number,
		coming: ReadonlyMap<number, unknown>,
	): Promise<Piece[]> {
		const { shardBlocks, blockSize } = this.manifest;
		const { shard, first } = this.place(block);
		const limit = Math.min(DISK_RUN, last - block + 1, shardBlocks - first);
		let count = 0;
		while (
			count < limit &&
			!coming.has(block + count) &&
			this.isOnDisk(block + count)
		) {
			count++;
		}
		if (count === 0) return [];
		const run: BlockRun = { shard, first, count };
		const bytes = await this.ports.store.read(this.id, run);
		if (bytes === undefined) return [];
		this.ports.room.touch(this.id, shard);
		return Array.from({ length: count }, (_, i) => ({
			bytes: bytes.subarray(i * blockSize, (i + 1) * blockSize),
			source: this.sourceOf(block + i),
		}));
	}

	private fetch(
		block: number,
		urgent: boolean,
		signal: AbortSignal,
	): Promise<Piece> {
		const { shard, first } = this.place(block);
		const got = this.ports.fetcher.block(
			this.id,
			this.manifest,
			shard,
			first,
			urgent,
			signal,
		);
		// Whoever waits for it hears of a failure; when nobody does any more it is of no interest, and no defect.
		got.catch(() => undefined);
		return got;
	}

	/** The player is at `block`: what comes after it is fetched in the background. */
	private prefetch(block: number): void {
		clearTimeout(this.idle);
		this.idle = setTimeout(() => this.stopPrefetch(), PREFETCH_IDLE);
		this.idle.unref();
		if (this.ports.store.streamingShare === 0) return;
		const { shardBlocks } = this.manifest;
		const shards = shardCount(this.manifest);
		const total =
			(shards - 1) * shardBlocks + blocksIn(this.manifest, shards - 1);
		const end = Math.min(total, block + 1 + PREFETCH);
		for (let b = block + 1; b < end; b++) {
			if (this.ahead.has(b) || this.isOnDisk(b)) continue;
			const { signal } = this.prefetching;
			const got = this.fetch(b, false, signal).then(
				({ source }) => {
					this.fetched.set(b, source);
				},
				() => undefined,
			);
			this.ahead.set(
				b,
				got.then(() => {
					this.ahead.delete(b);
				}),
			);
		}
	}

	private stopPrefetch(): void {
		clearTimeout(this.idle);
		this.prefetching.abort(new DOMException("not watched", "AbortError"));
		this.prefetching = new AbortController();
	}

	private count(source: Source, bytes: Bytes): void {
		this.bytes += bytes;
		if (source !== "disk" && source !== "origin") this.sources.add(source);
		this.ports.ledger.played(source, bytes);
	}

	private sourceOf(block: number): Source {
		const source = this.fetched.get(block) ?? "disk";
		this.fetched.delete(block);
		return source;
	}

	private isOnDisk(block: number): boolean {
		const { shard, first } = this.place(block);
		return this.ports.store.hasBlock(this.id, shard, first);
	}

	private place(block: number): { shard: number; first: number } {
		const { shardBlocks } = this.manifest;
		return {
			shard: Math.floor(block / shardBlocks),
			first: block % shardBlocks,
		};
	}
}
