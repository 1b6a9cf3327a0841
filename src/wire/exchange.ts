import c, { type Encoding, type State } from "compact-encoding";
import { type Bytes, KiB } from "../base/units.ts";
import type { TitleId } from "./ids.ts";

/** The Protomux protocol over which titles move. */
export const EXCHANGE = "larder/exchange/1";

/** Blocks that one request may ask for. */
export const MAX_RUN = 4;
/** What one chunk carries at most. A larger block comes in several. */
export const MAX_CHUNK: Bytes = 256 * KiB;

export const WANTED = ["manifest", "leaves", "blocks", "holders"] as const;
export type Wanted = (typeof WANTED)[number];

/** Why a request was not served. `busy` and `leaving` mean: ask somebody else. */
export const REFUSALS = [
	"not-held",
	"busy",
	"leaving",
	"bad-request",
	"disk",
] as const;
export type Refusal = (typeof REFUSALS)[number];

export interface ExchangeRequest {
	/** Chosen by the requester; not in use for another of its requests. */
	readonly id: number;
	readonly wanted: Wanted;
	readonly title: TitleId;
	/** With `leaves` and `blocks`. */
	readonly shard: number;
	/** With `blocks`: the first one, and how many (1 to MAX_RUN). */
	readonly first: number;
	readonly count: number;
	/** A viewer waits for it: served before fill. */
	readonly urgent: boolean;
}

/** A part of an answer. Parts come in order; the answer is whole when `total` bytes have come. */
export interface ExchangeChunk {
	readonly id: number;
	readonly offset: number;
	readonly total: number;
	readonly bytes: Uint8Array;
}

export interface ExchangeRefusal {
	readonly id: number;
	readonly reason: Refusal;
}

/**
 * A frame that no honest neighbour sends; it ends the connection.
 * Not a RangeError or TypeError: Protomux takes those for faults of this program and lets them end the process.
 */
export class FrameInvalid extends Error {
	override readonly name = "FrameInvalid";
}

export const title: Encoding<TitleId> = {
	preencode(state) {
		state.end += 32;
	},
	encode(state, id) {
		c.fixed32.encode(state, Buffer.from(id, "hex"));
	},
	decode(state) {
		const bytes = c.fixed32.decode(state);
		return Buffer.from(bytes).toString("hex") as TitleId;
	},
};

function word<T extends string>(words: readonly T[]): Encoding<T> {
	return {
		preencode(state) {
			state.end++;
		},
		encode(state, value) {
			c.uint8.encode(state, words.indexOf(value));
		},
		decode(state) {
			const value = words[c.uint8.decode(state)];
			if (value === undefined) throw new FrameInvalid("unknown word");
			return value;
		},
	};
}

const wanted = word(WANTED);
const refusal = word(REFUSALS);

export const request: Encoding<ExchangeRequest> = {
	preencode(state, m) {
		c.uint.preencode(state, m.id);
		wanted.preencode(state, m.wanted);
		title.preencode(state, m.title);
		c.uint.preencode(state, m.shard);
		c.uint.preencode(state, m.first);
		c.uint.preencode(state, m.count);
		c.bool.preencode(state, m.urgent);
	},
	encode(state, m) {
		c.uint.encode(state, m.id);
		wanted.encode(state, m.wanted);
		title.encode(state, m.title);
		c.uint.encode(state, m.shard);
		c.uint.encode(state, m.first);
		c.uint.encode(state, m.count);
		c.bool.encode(state, m.urgent);
	},
	decode(state) {
		return {
			id: c.uint.decode(state),
			wanted: wanted.decode(state),
			title: title.decode(state),
			shard: c.uint.decode(state),
			first: c.uint.decode(state),
			count: c.uint.decode(state),
			urgent: c.bool.decode(state),
		};
	},
};

export const chunk: Encoding<ExchangeChunk> = {
	preencode(state, m) {
		c.uint.preencode(state, m.id);
		c.uint.preencode(state, m.offset);
		c.uint.preencode(state, m.total);
		c.raw.preencode(state, m.bytes);
	},
	encode(state, m) {
		c.uint.encode(state, m.id);
		c.uint.encode(state, m.offset);
		c.uint.encode(state, m.total);
		c.raw.encode(state, m.bytes);
	},
	decode(state: State) {
		return {
			id: c.uint.decode(state),
			offset: c.uint.decode(state),
			total: c.uint.decode(state),
			bytes: c.raw.decode(state),
		};
	},
};

export const refuse: Encoding<ExchangeRefusal> = {
	preencode(state, m) {
		c.uint.preencode(state, m.id);
		refusal.preencode(state, m.reason);
	},
	encode(state, m) {
		c.uint.encode(state, m.id);
		refusal.encode(state, m.reason);
	},
	decode(state) {
		return { id: c.uint.decode(state), reason: refusal.decode(state) };
	},
};

/** The id of a request that is no longer wanted. */
export const cancel: Encoding<number> = c.uint;

/** Of a mark among the chunks; who reads it says so with the same number. Older boxes know none, and say nothing. */
export const mark: Encoding<number> = c.uint;
