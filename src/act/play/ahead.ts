import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BlockFetch } from "../fetch/fetcher.ts";
import type { Fetched } from "../fetch/wants.ts";

/** Sound and picture lie apart in a title: two places are read side by side. */
const TRACKS = 2;
/** A player that asked for nothing for so long has no more fetched for it. */
const IDLE: Millis = 10 * SECOND;

export interface AheadPorts {
	/** Blocks of the title. */
	readonly blocks: number;
	/** How many blocks ahead of the reader. */
	readonly reach: number;
	/** Blocks are asked for in lots of this many, so that requests are not small. */
	readonly lot: number;
	readonly isOnDisk: (block: number) => boolean;
	/** Undefined when there is no room to keep it. */
	readonly fetch: (block: number, deadline: Millis) => BlockFetch | undefined;
	/** A block came before its reader, and is kept. */
	readonly onFetched: (block: number, got: Fetched) => void;
}

/** Who reads a title from some place on, and when it needs what lies ahead. */
export interface Reader {
	deadlineOf(block: number): Millis;
}

/** What is fetched beyond one place that is being read. Invariant: all that is in `coming` lies before `edge`. */
class Track {
	/** The block that was read last. */
	position: number;
	readonly readers = new Set<Reader>();
	private edge: number;
	private readonly ports: AheadPorts;
	private readonly coming = new Map<number, BlockFetch>();

	constructor(position: number, ports: AheadPorts) {
		this.position = position;
		this.edge = position + 1;
		this.ports = ports;
	}

	covers(block: number): boolean {
		return block >= this.position && block <= this.edge;
	}

	moveTo(block: number, reader: Reader): void {
		if (block > this.position) this.position = block;
		const { reach, lot, blocks } = this.ports;
		const end = Math.min(blocks, this.position + 1 + reach);
		if (this.edge < this.position + 1) this.edge = this.position + 1;
		if (end - this.edge < lot && end < blocks) return;
		const now = reader.deadlineOf(this.position);
		for (; this.edge < end; this.edge++) {
			const deadline = reader.deadlineOf(this.edge);
			// What is needed before this is another rendition, or another track.
			if (deadline >= now) this.ask(this.edge, deadline);
		}
	}

	drop(): void {
		for (const fetch of this.coming.values()) fetch.cancel();
		this.coming.clear();
	}

	private ask(block: number, deadline: Millis): void {
		const { isOnDisk, fetch, onFetched } = this.ports;
		const coming = isOnDisk(block) ? undefined : fetch(block, deadline);
		if (coming === undefined) return;
		this.coming.set(block, coming);
		coming.result.then(
			(got) => {
				this.coming.delete(block);
				if (block > this.position) onFetched(block, got);
			},
			() => this.coming.delete(block),
		);
	}
}

/**
 * Fetches what the player will want next, so that it is on disk by then. Follows the newest readers: a place that nobody
 * reads any more is given up for a new one, when its reader goes away, or when the player has been silent.
 */
export class Ahead {
	private readonly ports: AheadPorts;
	/** Least recently read first. */
	private tracks: Track[] = [];
	private idle: NodeJS.Timeout | undefined;

	constructor(ports: AheadPorts) {
		this.ports = ports;
	}

	/** A reader has come to `block`. */
	follow(reader: Reader, block: number): void {
		let track = this.tracks.find((one) => one.readers.has(reader));
		if (track === undefined) {
			track = this.tracks.find((one) => one.covers(block));
			track ??= new Track(block, this.ports);
			track.readers.add(reader);
		}
		this.tracks = [...this.tracks.filter((one) => one !== track), track];
		while (this.tracks.length > TRACKS) this.tracks.shift()?.drop();
		track.moveTo(block, reader);
		clearTimeout(this.idle);
		this.idle = setTimeout(() => this.stop(), IDLE);
		this.idle.unref();
	}

	/** A reader has all that it wanted: more is likely to be wanted soon. */
	leave(reader: Reader): void {
		for (const track of this.tracks) track.readers.delete(reader);
	}

	/** A reader went away before its end: the player has gone, or is elsewhere now. */
	abandon(reader: Reader): void {
		const mine = this.tracks.filter((track) => track.readers.delete(reader));
		for (const track of mine) {
			if (track.readers.size > 0) continue;
			track.drop();
			this.tracks = this.tracks.filter((one) => one !== track);
		}
	}

	stop(): void {
		clearTimeout(this.idle);
		for (const track of this.tracks) track.drop();
		this.tracks = [];
	}
}
