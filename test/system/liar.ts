import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { Bitfield } from "../../src/content/bitfield.ts";
import { runBytes, shardBytes } from "../../src/content/geometry.ts";
import type { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import type { Film } from "./desk.ts";
import { openMember } from "./member.ts";

/** What there is to give of one title: its files as they are published, and which shards of it are held. */
export interface Goods {
	manifest(): Promise<Buffer>;
	holders(): Promise<Buffer>;
	leaves(shard: number): Promise<Buffer>;
	blocks(shard: number, first: number, count: number): Promise<Buffer>;
	readonly shards: Bitfield;
}

/** What a liar gives in the place of its own; `other` is of another title, and a promise that never settles is silence. */
export type Lie = (own: Goods, other: Goods) => Partial<Goods>;

/** About blocks: what a film plays on beside. */
export const BLOCK_LIES = {
	"wrong blocks": (own) => ({
		blocks: async (...asked) => flipped(await own.blocks(...asked)),
	}),
	nothing: () => ({ blocks: () => new Promise(() => undefined) }),
	"half of what was asked": (own) => ({
		blocks: async (...asked) => half(await own.blocks(...asked)),
	}),
} as const satisfies Record<string, Lie>;

/** Who tells of nothing that it holds is asked who else does. */
const NONE = { shards: new Bitfield(0) };

/** About everything else that a neighbour gives. */
export const LIES = {
	"another title's blocks": (_, { blocks }) => ({ blocks }),
	"wrong leaves": (own) => ({
		leaves: async (shard) => flipped(await own.leaves(shard)),
	}),
	"half of the leaves": (own) => ({
		leaves: async (shard) => half(await own.leaves(shard)),
	}),
	"another title's leaves": (_, { leaves }) => ({ leaves }),
	"another title's shards": (_, { leaves, blocks }) => ({ leaves, blocks }),
	"a manifest of its own": (own) => ({
		manifest: async () => edited(await own.manifest(), '"size":', '"size":1'),
	}),
	"another title's manifest": (_, { manifest }) => ({ manifest }),
	"another title's everything": (_, { manifest, leaves, blocks }) => ({
		...{ manifest, leaves, blocks },
	}),
	"no holder table": () => ({ ...NONE, holders: async () => Buffer.from("[") }),
	"another title's holder table": (_, { holders }) => ({ ...NONE, holders }),
	"a holder table of its own": (own) => ({
		...NONE,
		holders: async () =>
			edited(await own.holders(), '"payload":"', '"payload":"AAAA'),
	}),
} as const satisfies Record<string, Lie>;

export interface Liar {
	readonly box: BoxId;
	/** Dials a box: whom its lookup brings is chance. */
	meet(box: BoxId): void;
	/** Requests that it answered, or did not answer, with a lie. */
	readonly lies: number;
	leave(): Promise<void>;
}

/** What it lies about, and what it passes off as that. */
export interface LiarOptions {
	readonly film: Film;
	/** The same film unless given. */
	readonly other?: Film;
	readonly lie: Lie;
	/** Its address; loopback unless given. */
	readonly host?: string;
}

/** A member of the region with a certificate of its operator, which says that it holds a whole film, leaves and all, and lies about it. */
export async function startLiar(
	t: Test,
	desk: Neighbourhood,
	serial: string,
	{ film, other = film, lie, host }: LiarOptions,
): Promise<Liar> {
	const own = goodsOf(desk, film);
	const lied = lie(own, goodsOf(desk, other));
	const { blockSize } = film.manifest;
	const { shards } = { ...own, ...lied };
	let lies = 0;
	/** Of the film only: about others it knows nothing. */
	const give =
		<A extends unknown[]>(
			honest: (...asked: A) => Promise<Buffer>,
			instead = honest,
		) =>
		async (title: string, ...asked: A): Promise<Buffer | undefined> => {
			if (title !== film.id) return undefined;
			if (instead !== honest) lies++;
			return await instead(...asked);
		};
	const blocks = give(own.blocks, lied.blocks);
	const { swarm, box, leave } = await openMember(t, desk, serial, {
		...(host !== undefined && { host }),
		shelf: {
			manifest: give(own.manifest, lied.manifest),
			holders: give(own.holders, lied.holders),
			leaves: give(own.leaves, lied.leaves),
			blocks: async (...asked) => {
				const bytes = await blocks(...asked);
				return bytes && { bytes, blockSize };
			},
		},
		holdings: {
			holding: (title) => ({
				title,
				shards: title === film.id ? shards.bytes : new Uint8Array(0),
				partial: [],
			}),
			change: (title, shard) => ({
				title,
				shard,
				held: true,
				blocks: new Uint8Array(0),
			}),
		},
	});
	return {
		...{ box, leave },
		meet: (other) => swarm.dial([other]),
		get lies() {
			return lies;
		},
	};
}

export function goodsOf({ operator }: Neighbourhood, film: Film): Goods {
	const { manifest, id } = film;
	const read = (...name: string[]) =>
		readFile(join(operator.dir, "origin", id, ...name));
	const shards = new Bitfield(film.shards);
	for (let shard = 0; shard < film.shards; shard++) shards.add(shard);
	return {
		manifest: () => read("manifest"),
		holders: () => read("holders", operator.region),
		leaves: async (shard) =>
			(await read(`${shard}`)).subarray(shardBytes(manifest, shard)),
		blocks: async (shard, first, count) => {
			const start = first * manifest.blockSize;
			const length = runBytes(manifest, { shard, first, count });
			return (await read(`${shard}`)).subarray(start, start + length);
		},
		shards,
	};
}

function flipped(bytes: Buffer): Buffer {
	const wrong = Buffer.from(bytes);
	wrong[wrong.length >> 1] = (wrong[wrong.length >> 1] ?? 0) ^ 1;
	return wrong;
}

function half(bytes: Buffer): Buffer {
	return bytes.subarray(0, bytes.length / 2);
}

function edited(bytes: Buffer, text: string, instead: string): Buffer {
	return Buffer.from(`${bytes}`.replace(text, instead));
}
