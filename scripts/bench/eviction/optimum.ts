import type { Bytes } from "../../../src/base/units.ts";
import type { Request } from "./trace.ts";

/**
 * Bytes that no cache of `limit` bytes can do better than to hit, whatever it knows: PFOO-L. An interval between two reads of a
 * shard that is to end in a hit takes the shard's bytes for as long; the shortest are taken until all there is is taken.
 * Source: D. Berger, N. Beckmann, M. Harchol-Balter, Practical Bounds on Optimal Caching with Variable Object Sizes, POMACS 2018.
 */
export function mostHit(requests: readonly Request[], limit: Bytes): Bytes {
	const intervals: { length: number; bytes: Bytes }[] = [];
	const last = new Map<number, number>();
	for (const [now, { key, bytes }] of requests.entries()) {
		const before = last.get(key);
		if (before !== undefined) intervals.push({ length: now - before, bytes });
		last.set(key, now);
	}
	intervals.sort((a, b) => a.length - b.length);
	let left = limit * requests.length;
	let hit = 0;
	for (const { length, bytes } of intervals) {
		left -= length * bytes;
		if (left < 0) break;
		hit += bytes;
	}
	return hit;
}

/**
 * Bytes hit by who knows the future and keeps what is read again soonest (Belady 1966): the optimum if all shards were of one
 * size, and near it as they are, since only the last of a title is smaller.
 */
export function farsightedHit(
	requests: readonly Request[],
	limit: Bytes,
): Bytes {
	const next = nextReads(requests);
	/** Those that are there, by when they are read again. */
	const kept = new Map<number, Bytes>();
	const heap = new Heap();
	let [held, hit] = [0, 0];
	for (const [now, { bytes }] of requests.entries()) {
		const again = next[now] ?? Number.POSITIVE_INFINITY;
		if (kept.delete(now)) {
			hit += bytes;
			held -= bytes;
		}
		if (again === Number.POSITIVE_INFINITY) continue;
		kept.set(again, bytes);
		heap.push(again);
		held += bytes;
		while (held > limit) {
			const farthest = heap.pop();
			held -= kept.get(farthest) ?? 0;
			kept.delete(farthest);
		}
	}
	return hit;
}

/** For each request, the index of the next one for the same shard. */
function nextReads(requests: readonly Request[]): Float64Array {
	const next = new Float64Array(requests.length);
	const later = new Map<number, number>();
	for (let now = requests.length - 1; now >= 0; now--) {
		const key = requests[now]?.key ?? -1;
		next[now] = later.get(key) ?? Number.POSITIVE_INFINITY;
		later.set(key, now);
	}
	return next;
}

/** Numbers, of which the largest is taken first. */
class Heap {
	private readonly items: number[] = [];

	push(item: number): void {
		let at = this.items.push(item) - 1;
		while (at > 0 && this.at((at - 1) >> 1) < item) {
			this.items[at] = this.at((at - 1) >> 1);
			at = (at - 1) >> 1;
		}
		this.items[at] = item;
	}

	/** -1 when there is none. */
	pop(): number {
		const top = this.at(0);
		const item = this.items.pop() ?? -1;
		if (this.items.length === 0) return top;
		let at = 0;
		for (;;) {
			const [left, right] = [2 * at + 1, 2 * at + 2];
			const child = this.at(right) > this.at(left) ? right : left;
			if (this.at(child) <= item) break;
			this.items[at] = this.at(child);
			at = child;
		}
		this.items[at] = item;
		return top;
	}

	private at(index: number): number {
		return this.items[index] ?? -1;
	}
}
