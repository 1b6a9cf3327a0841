import { SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { FAR, type Level } from "../wire/near.ts";
import {
	MISSES,
	type Miss,
	type Misses,
	MOST_BITRATE,
	type Watched,
} from "../wire/quality.ts";
import { type Chain, Chains } from "./chains.ts";

/** What a player says of itself with a request (CMCD version 1, CTA-5004). */
export interface PlayerWord {
	/** Tells its session from others of the same title; it never leaves the box. */
	readonly sid?: string;
	/** What it has in its buffer. */
	readonly bl?: Millis;
	/** Bits a second of the rendition that it asks for. */
	readonly br?: number;
	/** It stood still since its last request for want of data. */
	readonly bs: boolean;
	/** What the object is; `a` is sound alone. */
	readonly ot?: string;
}

/** Where a byte plays: in which track, and when in the title's playing time. */
export interface Spot {
	/** Undefined of what does not play, a playlist for example. */
	readonly track: number | undefined;
	readonly time: Millis;
}

/** One HTTP read of a player. */
export interface Read {
	readonly begins: Millis;
	readonly chain: Chain | undefined;
	readonly word: PlayerWord | undefined;
}

export type From = "disk" | "neighbours" | "origin";

/** Some bytes on their way to the player. */
export interface Piece {
	/** When it was ready to take them, and when they came; by the monotonic clock. */
	readonly asked: Millis;
	readonly came: Millis;
	/** Until where they have to be in playing time. */
	readonly time: Millis;
	readonly bytes: Bytes;
	readonly from: From;
	/** How near the neighbour is. */
	readonly level: Level;
	readonly miss: Miss | undefined;
}

export type Figures = Omit<Watched, "id" | "title">;

/** A player shows something once it has so much playing time of it, or the whole of its first segment. */
const ENOUGH: Millis = SECOND;
/** What comes so little after its time is no stall that anybody sees. */
const TOLERANCE: Millis = 100;
/** Who asks so much later than it should show what it asks for stood still by itself: a pause. */
const PAUSE: Millis = SECOND / 2;

/**
 * One title as one player watches it, told by what it reads and, where it sends CMCD, says. Terms are those of CTA-2066:
 * video start-up time from the first request until there is enough to show; a rebuffering event is when what is to be shown next
 * comes after its time, start-up and seeks are none; played time is what was fetched and can have been shown by now. Without CMCD that
 * is a model: nobody sees the screen from here. It does not know a player's rate, nor a pause shorter than its buffer.
 */
export class Session {
	private readonly chains = new Chains();
	private readonly began: Millis;
	private lastAt: Millis;
	/** When something was to be seen first. */
	private shownAt: Millis | undefined;
	private startUp: Millis | undefined;
	/** Until when it stood still last. */
	private stalledUntil = Number.NEGATIVE_INFINITY;
	/** Whether the player says how full its buffer is, or that it was empty. */
	private isTold = false;
	private sums = nothing();
	/** From when, and from how much of what was fetched, played time counts. */
	private counted: { at: Millis; fetched: Millis };

	constructor(now: Millis) {
		this.began = now;
		this.lastAt = now;
		this.counted = { at: now, fetched: 0 };
	}

	/** When something was read last. */
	get touched(): Millis {
		return this.lastAt;
	}

	begin(
		{ track, time }: Spot,
		now: Millis,
		word: PlayerWord | undefined,
	): Read {
		this.lastAt = now;
		this.isTold ||= word?.bl !== undefined || word?.bs === true;
		if (track === undefined) return { begins: time, chain: undefined, word };
		const { chain, how } = this.chains.join(track, time, now);
		if (this.shownAt !== undefined) {
			if (how === "seek") this.sums.seeks++;
			if (word?.bs) this.sums.toldStalls++;
		}
		if (how === "switch") this.sums.switches++;
		// What is in the buffer is shown before what is asked for now.
		if (word?.bl !== undefined && chain.origin !== undefined)
			chain.origin = now + word.bl - time;
		chain.open++;
		return { begins: time, chain, word };
	}

	got({ chain }: Read, piece: Piece): void {
		const { came, time, bytes, from, level, miss } = piece;
		this.lastAt = came;
		this.sums[from] += bytes;
		if (level < FAR)
			this.sums.near[level] = (this.sums.near[level] ?? 0) + bytes;
		if (miss !== undefined) this.missed(miss);
		if (chain === undefined) return;
		this.sums.media += bytes;
		chain.bytes += bytes;
		if (chain.origin === undefined || !chain.shows)
			chain.origin = Math.max(chain.origin ?? -Infinity, came - time);
		else this.judge(chain, chain.origin, piece);
		chain.advance(time);
		if (time - chain.first >= ENOUGH) this.shows(chain, came);
	}

	/** @param until until when in playing time it can play now; undefined when the read broke off */
	end({ begins, chain, word }: Read, until: Millis | undefined, now: Millis) {
		this.lastAt = now;
		if (chain === undefined) return;
		chain.open--;
		if (until === undefined) return;
		chain.advance(until);
		this.shows(chain, now);
		const { br, ot } = word ?? {};
		if (br === undefined || ot === "a") return;
		this.sums.toldBits += br * (until - begins);
		this.sums.toldTime += until - begins;
	}

	/** A block came over the trunk, or not at all; of a key that is not there no block is asked for, and players try again and again. */
	missed(cause: Miss): void {
		const before = this.sums.misses[cause] ?? 0;
		this.sums.misses[cause] = cause === "entitlement" ? 1 : before + 1;
	}

	/** What was since the last time this was asked, and counts anew. Undefined when that is nothing that anybody needs to know. */
	take(now: Millis): Figures | undefined {
		const { sums, counted, shownAt } = this;
		const stalls = this.isTold ? sums.toldStalls : sums.stalls;
		const stalled = stalls === 0 ? 0 : sums.stalled;
		const since = Math.max(counted.at, shownAt ?? now);
		const fetched = this.chains.fetched - counted.fetched;
		const played = Math.max(0, Math.min(fetched, now - since - stalled));
		const starts = this.startUp === undefined ? [] : [this.startUp];
		const hasMissed = MISSES.some((cause) => sums.misses[cause]);
		const isNews = starts.length > 0 || played > 0 || stalls > 0 || hasMissed;
		this.sums = nothing();
		this.startUp = undefined;
		this.counted = { at: now, fetched: counted.fetched + played };
		if (!isNews) return undefined;
		return {
			starts: starts.map(Math.round),
			played: Math.round(played),
			...{ stalls, stalled: Math.round(stalled) },
			...{ seeks: sums.seeks, switches: sums.switches },
			bitrate: Math.min(MOST_BITRATE, Math.round(bitrateOf(sums, fetched))),
			...{ disk: sums.disk, neighbours: sums.neighbours },
			...{ origin: sums.origin, misses: sums.misses },
			...(sums.near.length > 0 && {
				near: Array.from(sums.near, (bytes) => bytes ?? 0),
			}),
		};
	}

	/** It comes in time, or late, or is late because nobody asked. */
	private judge(chain: Chain, origin: Millis, { asked, came, time }: Piece) {
		const due = origin + time;
		if (asked > due + PAUSE) {
			// What it had in its buffer then, it has still.
			chain.origin = asked + chain.lead - time;
			return;
		}
		chain.lead = Math.max(0, due - asked);
		const late = came - due;
		if (late <= TOLERANCE) return;
		chain.origin = came - time;
		const from = Math.max(due, this.stalledUntil);
		if (due > this.stalledUntil) this.sums.stalls++;
		this.sums.stalled += Math.max(0, came - from);
		this.stalledUntil = came;
	}

	private shows(chain: Chain, now: Millis): void {
		chain.shows = true;
		if (this.shownAt !== undefined) return;
		this.shownAt = now;
		this.startUp = now - this.began;
	}
}

function nothing() {
	return {
		...{ disk: 0, neighbours: 0, origin: 0, media: 0 },
		...{ stalls: 0, toldStalls: 0, stalled: 0, seeks: 0, switches: 0 },
		...{ toldBits: 0, toldTime: 0 },
		misses: {} as Misses,
		/** By level; empty while nothing came from near. */
		near: [] as Bytes[],
	};
}

/** Bits a second: as the player says of its renditions, else of what it fetched. */
function bitrateOf(
	{ toldBits, toldTime, media }: ReturnType<typeof nothing>,
	fetched: Millis,
): number {
	if (toldTime > 0) return toldBits / toldTime;
	return fetched > 0 ? (media * 8 * SECOND) / fetched : 0;
}
