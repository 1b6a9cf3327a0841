import c, { type Encoding } from "compact-encoding";
import { FrameInvalid, title } from "./exchange.ts";
import type { TitleId } from "./ids.ts";

/** The Protomux protocol over which neighbours tell what they hold of the titles they are asked about. */
export const INVENTORY = "larder/inventory/1";

/** Titles that one neighbour may ask about at a time. */
export const MAX_INTERESTS = 256;
/** Shards that a title may have: a manifest that lists more is too large to be read. */
export const MAX_SHARDS = 250_000;
/** Partial shards that one answer may tell of; more are not told. */
export const MAX_PARTIALS = 256;

/** Blocks held of shards that are not complete: shard index and bitmap. */
export interface PartialHolding {
	readonly shard: number;
	readonly blocks: Uint8Array;
}

/** All that is held of one title; the answer to `want`. */
export interface Holding {
	readonly title: TitleId;
	/** Bitmap of complete shards. Empty when nothing is held. */
	readonly shards: Uint8Array;
	readonly partial: readonly PartialHolding[];
}

/** One shard changed. An empty `blocks` with `held` false means that it is gone. */
export interface HoldingDelta {
	readonly title: TitleId;
	readonly shard: number;
	readonly held: boolean;
	readonly blocks: Uint8Array;
}

export { title };

const partialHolding: Encoding<PartialHolding> = {
	preencode(state, m) {
		c.uint.preencode(state, m.shard);
		c.buffer.preencode(state, m.blocks);
	},
	encode(state, m) {
		c.uint.encode(state, m.shard);
		c.buffer.encode(state, m.blocks);
	},
	decode(state) {
		return {
			shard: c.uint.decode(state),
			blocks: copy(c.buffer.decode(state)),
		};
	},
};

export const holding: Encoding<Holding> = {
	preencode(state, m) {
		title.preencode(state, m.title);
		c.buffer.preencode(state, m.shards);
		c.uint.preencode(state, m.partial.length);
		for (const partial of m.partial) partialHolding.preencode(state, partial);
	},
	encode(state, m) {
		title.encode(state, m.title);
		c.buffer.encode(state, m.shards);
		c.uint.encode(state, m.partial.length);
		for (const partial of m.partial) partialHolding.encode(state, partial);
	},
	decode(state) {
		const id = title.decode(state);
		const shards = copy(c.buffer.decode(state));
		const partial: PartialHolding[] = [];
		const count = c.uint.decode(state);
		if (count > MAX_PARTIALS) throw new FrameInvalid("too many partial shards");
		for (let left = count; left > 0; left--) {
			partial.push(partialHolding.decode(state));
		}
		return { title: id, shards, partial };
	},
};

export const delta: Encoding<HoldingDelta> = {
	preencode(state, m) {
		title.preencode(state, m.title);
		c.uint.preencode(state, m.shard);
		c.bool.preencode(state, m.held);
		c.buffer.preencode(state, m.blocks);
	},
	encode(state, m) {
		title.encode(state, m.title);
		c.uint.encode(state, m.shard);
		c.bool.encode(state, m.held);
		c.buffer.encode(state, m.blocks);
	},
	decode(state) {
		return {
			title: title.decode(state),
			shard: c.uint.decode(state),
			held: c.bool.decode(state),
			blocks: copy(c.buffer.decode(state)),
		};
	},
};

// Decoded buffers are views into the network's receive buffer; what is kept must not keep that alive.
// An empty buffer decodes to null.
function copy(bytes: Uint8Array | null): Uint8Array {
	return Uint8Array.from(bytes ?? []);
}
