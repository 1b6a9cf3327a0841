import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../../../src/base/units.ts";
import {
	blocksIn,
	leavesBytes,
	runBytes,
	shardFileBytes,
} from "../../../src/content/geometry.ts";
import { besides } from "../../../src/store/scan.ts";
import type { Film } from "../desk.ts";
import type { Truth } from "./truth.ts";

/** Every shard of these films, with its name in a Truth. */
export function* shardsOf(films: readonly Film[]) {
	for (const film of films)
		for (let shard = 0; shard < film.shards; shard++)
			yield { film, shard, key: `${film.id}/${shard}` };
}

/** Shards that are whole, under the name that says so. */
export function wholeIn(truth: Truth): Set<string> {
	const whole = [...truth].filter(([, it]) => it.isNamed && it.isWhole);
	return new Set(whole.map(([key]) => key));
}

/** Files that say they are whole shards and are not, except those that were made so. */
export function lyingIn(truth: Truth, flipped: ReadonlySet<string>): string[] {
	return [...truth]
		.filter(([key, it]) => it.isNamed && !it.isWhole && !flipped.has(key))
		.map(([key]) => key);
}

/**
 * What the agent says that it holds and does not, or the other way round.
 * @param told what it tells a neighbour of a shard, in blocks
 */
export function misstated(
	films: readonly Film[],
	truth: Truth,
	told: (film: Film, shard: number) => ReadonlySet<number>,
): string[] {
	const wrong: string[] = [];
	for (const { film, shard, key } of shardsOf(films)) {
		const lying = truth.get(key);
		const all = Array(blocksIn(film.manifest, shard)).keys();
		// What was not read yet counts as what its name says.
		const good = lying?.isNamed ? new Set(all) : (lying?.good ?? new Set());
		const said = told(film, shard);
		const isSame =
			good.size === said.size && [...good].every((block) => said.has(block));
		if (!isSame) wrong.push(`${key}: says ${said.size} of ${good.size} blocks`);
	}
	return wrong;
}

/** Bytes that the store takes, as it counts them. */
export async function usedBy(
	data: string,
	films: readonly Film[],
	truth: Truth,
): Promise<Bytes> {
	let used = 0;
	for (const { id } of films) {
		const { size } = await stat(join(data, "shards", id, "manifest"));
		used += besides(size);
	}
	for (const { film, shard, key } of shardsOf(films)) {
		const lying = truth.get(key);
		const { manifest } = film;
		if (lying?.isNamed) used += shardFileBytes(manifest, shard);
		else if (lying !== undefined) {
			used += leavesBytes(manifest, shard);
			for (const first of lying.good)
				used += runBytes(manifest, { shard, first, count: 1 });
		}
	}
	return used;
}

/** Throws with all that was found. */
export function none(what: string, found: readonly string[]): void {
	if (found.length > 0) throw new Error(`${what}:\n${found.join("\n")}`);
}
