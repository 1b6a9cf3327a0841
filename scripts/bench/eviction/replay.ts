import { DAY } from "../../../src/base/time.ts";
import type { Bytes } from "../../../src/base/units.ts";
import type { Cache } from "./caches.ts";
import { seededRandom, type Trace } from "./trace.ts";

/** Where the bytes came from that were asked for. */
export interface Served {
	readonly own: Bytes;
	readonly neighbours: Bytes;
	readonly origin: Bytes;
}

/** Replays a trace on a region: what a viewer's box has not comes from a neighbour that has it, any of them, else from the origin.
 * @param restarts whether all boxes begin anew each midnight */
export function replay(
	{ requests }: Trace,
	caches: readonly Cache[],
	seed: number,
	restarts: boolean,
): Served {
	const random = seededRandom(seed);
	const holders = new Map<number, Set<number>>();
	let [own, neighbours, origin, day] = [0, 0, 0, 0];
	for (const request of requests) {
		const { key, bytes, box, at } = request;
		if (restarts && Math.floor(at / DAY) > day) {
			day = Math.floor(at / DAY);
			for (const each of caches) each.restart?.();
		}
		const cache = caches[box];
		if (cache === undefined) continue;
		const holding = holders.get(key) ?? new Set();
		holders.set(key, holding);
		if (cache.has(key)) {
			own += bytes;
			// All that neighbours hold of a title is not heard while it is played from the disk.
			cache.hit(request);
			continue;
		}
		const others = [...holding];
		if (others.length === 0) origin += bytes;
		else {
			neighbours += bytes;
			const giver = others[Math.floor(random() * others.length)] ?? -1;
			caches[giver]?.gave?.(request);
		}
		for (const gone of cache.keep(request)) holders.get(gone)?.delete(box);
		cache.told?.(request, others.length);
		holding.add(box);
	}
	return { own, neighbours, origin };
}
