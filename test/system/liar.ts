import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { Bitfield } from "../../src/content/bitfield.ts";
import { runBytes, shardBytes } from "../../src/content/geometry.ts";
import type { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import type { Film } from "./desk.ts";
import { openMember } from "./member.ts";

/** What a liar makes of the blocks that it was asked for; a promise that never settles is silence. */
export type Lie = (bytes: Buffer) => Buffer | Promise<Buffer>;

export const LIES = {
	"wrong blocks": (bytes) => {
		const wrong = Buffer.from(bytes);
		wrong[wrong.length >> 1] = (wrong[wrong.length >> 1] ?? 0) ^ 1;
		return wrong;
	},
	nothing: () => new Promise<Buffer>(() => undefined),
	"half of what was asked": (bytes) => bytes.subarray(0, bytes.length / 2),
} as const satisfies Record<string, Lie>;

export interface Liar {
	readonly box: BoxId;
	/** Dials a box: whom its lookup brings is chance. */
	meet(box: BoxId): void;
	/** Requests for blocks that it answered, or did not answer, with a lie. */
	readonly lies: number;
}

/**
 * A member of the region with a certificate of its operator, which says that it holds the whole film, leaves and
 * all, and lies about the blocks.
 */
export async function startLiar(
	t: Test,
	desk: Neighbourhood,
	film: Film,
	serial: string,
	lie: Lie,
): Promise<Liar> {
	const { manifest } = film;
	const { blockSize } = manifest;
	const folder = join(desk.operator.dir, "origin", film.id);
	const all = new Bitfield(film.shards);
	for (let shard = 0; shard < film.shards; shard++) all.add(shard);
	let lies = 0;
	const { swarm, box } = await openMember(t, desk, serial, {
		shelf: {
			manifest: () => readFile(join(folder, "manifest")),
			holders: async () => undefined,
			leaves: async (_, shard) => {
				const file = await readFile(join(folder, `${shard}`));
				return file.subarray(shardBytes(manifest, shard));
			},
			blocks: async (_, shard, first, count) => {
				lies++;
				const file = await readFile(join(folder, `${shard}`));
				const start = first * blockSize;
				const length = runBytes(manifest, { shard, first, count });
				const bytes = await lie(file.subarray(start, start + length));
				return { bytes, blockSize };
			},
		},
		holdings: {
			holding: (title) => ({ title, shards: all.bytes, partial: [] }),
			change: (title, shard) => ({
				title,
				shard,
				held: true,
				blocks: new Uint8Array(0),
			}),
		},
	});
	return {
		box,
		meet: (other) => swarm.dial([other]),
		get lies() {
			return lies;
		},
	};
}
