import { randomBytes } from "node:crypto";
import type { Log } from "../../base/log.ts";
import { monotonic, SECOND } from "../../base/time.ts";
import { type Bytes, MiB, type Millis } from "../../base/units.ts";
import type { Manifest } from "../../content/manifest.ts";
import { Timeline } from "../../content/timeline.ts";
import { type Playhead, Playheads } from "../../plan/playhead.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Status } from "../../wire/ipc.ts";
import type { BlockFetch, Fetcher } from "../fetch/fetcher.ts";
import type { Ledger } from "../ledger.ts";
import type { OpenTitle, Playing, Source, Store, TitleKey } from "../ports.ts";
import type { Room } from "../room.ts";
import { Ahead } from "./ahead.ts";
import type { Appetite, Helping } from "./appetite.ts";
import { Arrivals } from "./arrivals.ts";
import type { Audience, Viewing } from "./audience.ts";
import type { Hearing } from "./hearing.ts";
import { type Piece, Reading } from "./reading.ts";

/** What is fetched beyond the last read, for the next segment, and in lots of how much. */
const PREFETCH: Bytes = 4 * MiB;
const LOT: Bytes = MiB;

const NOTHING = Buffer.alloc(0);

export interface StreamPorts {
	readonly store: Store;
	readonly fetcher: Fetcher;
	readonly room: Room;
	readonly ledger: Ledger;
	readonly audience: Audience;
	readonly appetite: Appetite;
	readonly log: Log;
}

/**
 * One title being played on this box. Blocks are numbered through the whole title (shard * shardBlocks + block).
 * Reads fetch what they need as long as they last; what lies ahead of the newest ones is fetched for as long as it is watched.
 */
export class Stream implements OpenTitle {
	readonly id: TitleId;
	readonly manifest: Manifest;
	/** By the monotonic clock. */
	lastRead: Millis = monotonic();
	private readonly opened = monotonic();
	private readonly streamId = randomBytes(8).toString("hex");
	private readonly key: Promise<TitleKey>;
	private readonly timeline: Timeline;
	private readonly playheads = new Playheads();
	private readonly ports: StreamPorts;
	private readonly hearing: Hearing;
	private readonly ahead: Ahead;
	private readonly closing = new AbortController();
	private readonly sources = new Set<Source>();
	private readonly fetched = new Arrivals();
	private bytes: Bytes = 0;
	private readers = 0;

	/** @param duration playing time of the title; 0 when it is not known */
	constructor(
		id: TitleId,
		manifest: Manifest,
		duration: Millis,
		key: Promise<TitleKey>,
		hearing: Hearing,
		ports: StreamPorts,
	) {
		this.id = id;
		this.manifest = manifest;
		this.timeline = new Timeline(manifest, duration);
		this.key = key;
		this.ports = ports;
		this.hearing = hearing;
		this.ahead = new Ahead({
			blocks: Math.ceil(manifest.size / manifest.blockSize),
			reach: this.blocksIn(PREFETCH),
			lot: this.blocksIn(LOT),
			isOnDisk: (block) => this.isOnDisk(block),
			fetch: (block, deadline) => this.fetchAhead(block, deadline),
			onFetched: (block, got) => this.fetched.note(block, got),
		});
	}

	/** Aborted when it can be read no more. */
	get closed(): AbortSignal {
		return this.closing.signal;
	}

	get reading(): boolean {
		return this.readers > 0;
	}

	read(offset: Bytes, length: Bytes, signal: AbortSignal) {
		return this.serve(offset, length, undefined, signal);
	}

	play(playing: Playing, signal: AbortSignal) {
		const { offset, length } = playing;
		const spot = {
			track: this.timeline.track(offset),
			time: this.timeline.at(offset),
		};
		return this.ports.audience.watch(this.id, spot, playing, (viewing) =>
			this.serve(offset, length, viewing, signal),
		);
	}

	/** @param viewing whose evening it counts in, if anybody's */
	private async *serve(
		offset: Bytes,
		length: Bytes,
		viewing: Viewing | undefined,
		signal: AbortSignal,
	): AsyncGenerator<Buffer> {
		const { blockSize, size } = this.manifest;
		const end = Math.min(offset + length, size);
		if (end <= offset) return;
		const playhead = this.playheads.begin(
			this.timeline.at(offset),
			monotonic(),
		);
		const either = AbortSignal.any([signal, this.closing.signal]);
		const key = await this.key;
		let shard = -1;
		let unpin = () => {};
		let whole = false;
		const helping = this.ports.appetite.begin();
		const reading = this.readingOf(
			...([offset, end, playhead, helping, viewing] as const),
		);
		this.readers++;
		try {
			for await (const piece of reading.pieces(either)) {
				const { block, source } = piece;
				this.ahead.follow(reading, block);
				this.fetched.forget(block);
				const { place } = this.placeOf(block);
				if (place.shard !== shard) {
					unpin();
					shard = place.shard;
					unpin = this.ports.room.use(this.id, shard);
					this.ports.room.touch(this.id, shard);
				}
				const start = block * blockSize;
				const from = Math.max(offset, start);
				const to = Math.min(end, start + piece.bytes.length);
				this.count(source, to - from);
				const time = this.timeline.at(to - 1);
				viewing?.got(time, to - from, piece);
				const plain = key.decipher(
					from,
					piece.bytes.subarray(from - start, to - start),
				);
				piece.bytes = NOTHING;
				yield plain;
				viewing?.taken();
			}
			whole = true;
		} catch (error) {
			// What was asked for fails because the title was closed: a player is to hear why it was.
			either.throwIfAborted();
			throw error;
		} finally {
			unpin();
			helping.end();
			this.readers--;
			this.lastRead = monotonic();
			if (whole) {
				playhead.until = this.timeline.until(end);
				viewing?.reached(playhead.until);
				this.ahead.leave(reading);
			} else this.ahead.abandon(reading);
		}
	}

	/** Begins what does not wait for the key: to look for what is missing, and to fetch the beginning, where playlists lie. */
	warm(): void {
		const { held } = this.ports.store.inventory(this.id) ?? {};
		if (!held?.full) this.hearing.begin();
		if (this.isOnDisk(0)) return;
		const first = this.fetchAhead(0, monotonic());
		first?.result.then(
			(got) => this.fetched.note(0, got),
			() => undefined,
		);
	}

	/** What this stream does, under an id that lives as long as the stream. */
	summary(): Status["streams"][number] {
		const seconds = Math.max(1, (monotonic() - this.opened) / SECOND);
		return {
			id: this.streamId,
			title: this.id,
			bytes: this.bytes,
			rate: this.bytes / seconds,
			sources: this.sources.size,
		};
	}

	/** Ends its reads, too: with why, if there is a reason that a player should hear. */
	close(why?: unknown): void {
		if (this.closed.aborted) return;
		this.closing.abort(
			why ?? new DOMException("the title was closed", "AbortError"),
		);
		this.ahead.stop();
		this.hearing.end();
	}

	private readingOf(
		offset: Bytes,
		end: Bytes,
		playhead: Playhead,
		helping: Helping,
		viewing: Viewing | undefined,
	): Reading {
		const { blockSize } = this.manifest;
		const first = Math.floor(offset / blockSize);
		const last = Math.floor((end - 1) / blockSize);
		return new Reading(first, last, {
			reach: () => this.blocksIn(this.ports.appetite.share),
			isOnDisk: (block) => this.isOnDisk(block),
			fromDisk: (block, most) => this.fromDisk(block, most, helping.next()),
			deadlineOf: (block) => {
				const from = Math.max(offset, block * blockSize);
				return playhead.origin + this.timeline.at(from);
			},
			fetch: (block, deadline) => {
				const { place, index } = this.placeOf(block);
				this.hearing.begin();
				return this.ports.fetcher.block(place, index, deadline);
			},
			onMissed: (cause) => viewing?.missed(cause),
		});
	}

	/** @param lot at most so much, but a block */
	private async fromDisk(
		block: number,
		most: number,
		lot: Bytes,
	): Promise<Piece[]> {
		const { blockSize, shardBlocks } = this.manifest;
		const { place, index } = this.placeOf(block);
		const limit = Math.min(
			lot / blockSize,
			most - block + 1,
			shardBlocks - index,
		);
		let count = 1;
		while (count + 1 <= limit && this.isOnDisk(block + count)) count++;
		const run = { shard: place.shard, first: index, count };
		const { store, log } = this.ports;
		try {
			const bytes = await store.read(this.id, run);
			if (bytes === undefined) return [];
			return Array.from({ length: count }, (_, i) => ({
				block: block + i,
				bytes: bytes.subarray(i * blockSize, (i + 1) * blockSize),
				...this.fetched.of(block + i),
			}));
		} catch (error) {
			// A failing disk does not stop the film.
			log.warn({ err: error }, "a read failed");
			return [];
		}
	}

	private fetchAhead(block: number, deadline: Millis): BlockFetch | undefined {
		const { place, index } = this.placeOf(block);
		this.hearing.begin();
		return this.ports.fetcher.ahead(place, index, deadline);
	}

	private count(source: Source, bytes: Bytes): void {
		this.bytes += bytes;
		if (source !== "disk" && source !== "origin") this.sources.add(source);
		this.ports.ledger.played(source, bytes);
	}

	private isOnDisk(block: number): boolean {
		const { place, index } = this.placeOf(block);
		return this.ports.store.hasBlock(this.id, place.shard, index);
	}

	private placeOf(block: number) {
		const { manifest, id } = this;
		const shard = Math.floor(block / manifest.shardBlocks);
		const index = block % manifest.shardBlocks;
		return { place: { title: id, shard, manifest }, index };
	}

	private blocksIn(bytes: Bytes): number {
		return Math.max(2, Math.ceil(bytes / this.manifest.blockSize));
	}
}
