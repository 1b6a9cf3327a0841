import { SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";

/** A read that begins this near to where another one ended goes on there. */
const NEAR: Millis = SECOND / 2;
/** Sound and picture begin within so long of each other, at places no farther apart than a segment. */
const TOGETHER: Millis = 5 * SECOND;
const SEGMENT: Millis = 10 * SECOND;
/** Picture, sound, subtitles and one to spare. */
const MOST = 4;

/** Reads of one track after another, or of renditions of it. What is at `time` is shown at `origin + time` by the monotonic clock. */
export class Chain {
	track: number;
	readonly bornAt: Millis;
	/** Where in playing time it began, and where its last read did. */
	readonly first: Millis;
	from: Millis;
	/** Until when in playing time it was fetched. */
	until: Millis;
	/** Playing time that was fetched in all, by those whose place it took, too. */
	fetched: Millis;
	bytes: Bytes = 0;
	/** Undefined until something has come. */
	origin: Millis | undefined;
	/** Whether there was enough to show. */
	shows = false;
	/** How long before its time the player asked for something last. */
	lead: Millis = 0;
	/** Reads under way. */
	open = 0;

	constructor(track: number, time: Millis, now: Millis, fetched: Millis) {
		this.track = track;
		this.bornAt = now;
		this.first = time;
		this.from = time;
		this.until = time;
		this.fetched = fetched;
	}

	/** All is there up to a place. */
	advance(until: Millis): void {
		this.fetched += Math.max(0, until - this.until);
		this.until = Math.max(this.until, until);
	}

	/** Whether a read at `time` is the next one, or the last one once more. */
	goesOnAt(time: Millis): boolean {
		return isNear(time, this.until) || isNear(time, this.from);
	}
}

/** What a read is to those before it. */
export type How = "first" | "next" | "beside" | "switch" | "seek";

/** What one player reads, track by track. Invariant: at most one chain for each track. */
export class Chains {
	private all: Chain[] = [];

	/** Playing time that was fetched, of the track of which most was. */
	get fetched(): Millis {
		return Math.max(0, ...this.all.map(({ fetched }) => fetched));
	}

	/** The chain that a read belongs to. */
	join(track: number, time: Millis, now: Millis): { chain: Chain; how: How } {
		const own = this.all.find((chain) => chain.track === track);
		if (own?.goesOnAt(time)) return { chain: goOn(own, time), how: "next" };
		const left = this.all.find(
			(chain) => chain !== own && hasEndedAt(chain, time),
		);
		if (left !== undefined) return this.change(left, track, time);
		const isBeside = this.all.some(
			({ bornAt, first }) =>
				now - bornAt < TOGETHER && Math.abs(time - first) <= SEGMENT,
		);
		if (own === undefined && isBeside)
			return { chain: this.add(track, time, now, undefined), how: "beside" };
		const again = this.all.find(
			(chain) => chain.open === 0 && isNear(time, chain.from),
		);
		if (again !== undefined) return this.change(again, track, time);
		const isFirst = this.all.length === 0;
		const gone = own ?? this.all.toSorted((a, b) => b.bytes - a.bytes)[0];
		const chain = this.add(track, time, now, gone);
		return { chain, how: isFirst ? "first" : isBeside ? "beside" : "seek" };
	}

	/** Another rendition goes on in its place. */
	private change(chain: Chain, track: number, time: Millis) {
		this.all = this.all.filter((one) => one === chain || one.track !== track);
		chain.track = track;
		return { chain: goOn(chain, time), how: "switch" as const };
	}

	/** @param gone the chain whose place it takes */
	private add(
		track: number,
		time: Millis,
		now: Millis,
		gone: Chain | undefined,
	): Chain {
		const chain = new Chain(track, time, now, gone?.fetched ?? 0);
		const others = this.all.filter((one) => one !== gone);
		this.all = [...others, chain].slice(-MOST);
		return chain;
	}
}

function goOn(chain: Chain, time: Millis): Chain {
	chain.from = time;
	return chain;
}

function hasEndedAt({ open, until, from }: Chain, time: Millis): boolean {
	return open === 0 && until > from && isNear(time, until);
}

function isNear(a: Millis, b: Millis): boolean {
	return Math.abs(a - b) <= NEAR;
}
