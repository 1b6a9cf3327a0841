import type { Bytes } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";
import type { Level } from "../wire/near.ts";
import { BY_LEVEL, type Counters } from "../wire/reports.ts";
import type { SecondOfSources, Source } from "./ports.ts";

/** How many seconds the strip on the player page goes back. */
const SECONDS_KEPT = 120;

interface Second {
	at: number;
	disk: Bytes;
	origin: Bytes;
	neighbours: Bytes[];
}

/** Counts bytes where they move. Neighbours appear as numbers in order of first use, never as ids. */
export class Ledger {
	readonly counters: Counters = {
		fromNeighbours: 0,
		...{ fromLevel0: 0, fromLevel1: 0, fromLevel2: 0, fromLevel3: 0 },
		fromOrigin: 0,
		toNeighbours: 0,
		toPlayers: 0,
		playedFromDisk: 0,
		playedFromNeighbours: 0,
		playedFromOrigin: 0,
		wrongBlocks: 0,
	};
	private readonly numbers = new Map<BoxId, number>();
	private readonly seconds: Second[] = [];

	/** Of what came from neighbours, so much from one that is so near. */
	cameFrom(level: Level, bytes: Bytes): void {
		const name = BY_LEVEL[level];
		if (name === undefined) return;
		this.counters[name] = (this.counters[name] ?? 0) + bytes;
	}

	/** Plaintext handed to a player, by where its block was when it was asked for. */
	played(source: Source, bytes: Bytes): void {
		this.counters.toPlayers += bytes;
		const second = this.now();
		if (source === "disk") {
			this.counters.playedFromDisk += bytes;
			second.disk += bytes;
		} else if (source === "origin") {
			this.counters.playedFromOrigin += bytes;
			second.origin += bytes;
		} else {
			this.counters.playedFromNeighbours += bytes;
			const number = this.numbers.get(source) ?? this.numbers.size + 1;
			this.numbers.set(source, number);
			second.neighbours[number] = (second.neighbours[number] ?? 0) + bytes;
		}
	}

	recent(): readonly SecondOfSources[] {
		const since = Math.floor(Date.now() / 1000) - SECONDS_KEPT;
		return this.seconds
			.filter(({ at }) => at > since)
			.map((second) => ({
				...second,
				neighbours: Array.from(second.neighbours, (bytes) => bytes ?? 0),
			}));
	}

	private now(): Second {
		const at = Math.floor(Date.now() / 1000);
		const last = this.seconds.at(-1);
		if (last?.at === at) return last;
		const second = { at, disk: 0, origin: 0, neighbours: [] };
		this.seconds.push(second);
		if (this.seconds.length > SECONDS_KEPT) this.seconds.shift();
		return second;
	}
}
