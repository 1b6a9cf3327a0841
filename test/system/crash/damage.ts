import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Film } from "../desk.ts";

/** The first shards of the first film are read through first, one a second. */
const NEAR = 3;

/** Changes a byte in some of the shards that an idle box reads through first, each of which it holds. Their names in a Truth. */
export async function flip(
	data: string,
	films: readonly Film[],
	draw: () => number,
): Promise<string[]> {
	const [film] = films.toSorted((a, b) => (a.id < b.id ? -1 : 1));
	if (film === undefined) return [];
	const { blockSize, shardBlocks } = film.manifest;
	const flipped: string[] = [];
	for (let shard = 0; shard < NEAR; shard++) {
		if (shard > 0 && draw() < 0.5) continue;
		const path = join(data, "shards", film.id, `${shard}`);
		await using file = await open(path, "r+");
		const at = Math.floor(draw() * shardBlocks * blockSize);
		const byte = Buffer.alloc(1);
		await file.read(byte, 0, 1, at);
		byte[0] = 255 - (byte[0] ?? 0);
		await file.write(byte, 0, 1, at);
		flipped.push(`${film.id}/${shard}`);
	}
	return flipped;
}
