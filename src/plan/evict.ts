import { type Bytes, MiB } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Pool } from "./pool.ts";

/** A shard on disk that no placement asks for. */
export interface TransientShard {
	readonly title: TitleId;
	readonly shard: number;
	/** Bytes of its whole file: what a partial one will take, too. */
	readonly bytes: Bytes;
	/** How far from the beginning a viewer is who reads it. */
	readonly depth: Bytes;
}

export interface Eviction<Shard extends TransientShard> {
	readonly going: readonly Shard[];
	/** Whether that makes enough room. */
	readonly enough: boolean;
}

export interface EvictionView<Shard extends TransientShard> {
	/** What may have to go, in groups: of a later one nothing goes while an earlier one has any that may. */
	readonly groups: readonly Pool<Shard>[];
	/** Whether it stays whatever it is worth: it is being fetched or played, or about to be. */
	readonly stays: (shard: Shard) => boolean;
	/** The title's plays as they count now. */
	readonly playsOf: (title: TitleId) => number;
}

/** Half of those who begin get so far: 18 minutes at 5 Mbit/s. */
const HALFWAY: Bytes = 640 * MiB;
/** Of so many drawn at random the one worth least goes. */
const SAMPLE = 64;
/** For each that is expected to go. */
const SAMPLE_EACH = 16;

/**
 * How often a byte of a shard will be read, up to a factor that is the same for all; to trade off shards of any size, since what
 * it saves and what it takes both grow with them. Most viewers leave early: at depth d those are left who number 1 / (1 + d / h).
 * Source: the value of a segment of a stream falls with its distance from the start and rises with the stream's requests
 * (Wu, Yu and Wolf, Segment-Based Proxy Caching of Multimedia Streams, WWW10, 2001).
 */
export function worthOf(plays: number, depth: Bytes): number {
	return plays / (1 + depth / HALFWAY);
}

/**
 * Which shards would have to go so that `excess` bytes are freed. It looks at a sample, as Redis and Hyperbolic Caching do
 * (Blankstein et al., USENIX ATC 2017): few enough to cost little however many there are, all when there are few.
 */
export function planEviction<Shard extends TransientShard>(
	{ groups, stays, playsOf }: EvictionView<Shard>,
	excess: Bytes,
): Eviction<Shard> {
	const going: Shard[] = [];
	let left = excess;
	for (const group of groups) {
		for (let seen = 0; left > 0 && seen < group.size; ) {
			const [first] = group.draw(1, seen);
			const expected = Math.ceil(left / (first?.bytes ?? left));
			const sample = group.draw(Math.max(SAMPLE, SAMPLE_EACH * expected), seen);
			seen += sample.length;
			const ranked = sample
				.filter((shard) => !stays(shard))
				.map((shard) => {
					return { shard, worth: worthOf(playsOf(shard.title), shard.depth) };
				})
				.sort((a, b) => a.worth - b.worth);
			for (const { shard } of ranked) {
				if (left <= 0) break;
				going.push(shard);
				left -= shard.bytes;
			}
		}
	}
	return { going, enough: left <= 0 };
}
