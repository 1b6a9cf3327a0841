import type { Bytes } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";

/** A shard on disk that no placement asks for. */
export interface TransientShard {
	readonly title: TitleId;
	readonly shard: number;
	/** Bytes of its whole file: what a partial one will take, too. */
	readonly bytes: Bytes;
	/** Whether it is being fetched or played now. */
	readonly inUse: boolean;
}

export interface Eviction {
	readonly going: readonly TransientShard[];
	/** Whether that makes enough room. */
	readonly enough: boolean;
}

/**
 * Which transient shards would have to go so that `bytes` more fit below `limit`; those in use stay.
 * Looks at no more shards than it has to.
 * @param oldestFirst least recently read first
 * @param used bytes of all of them
 */
export function planEviction(
	oldestFirst: Iterable<TransientShard>,
	used: Bytes,
	bytes: Bytes,
	limit: Bytes,
): Eviction {
	let excess = used + bytes - limit;
	const going: TransientShard[] = [];
	for (const shard of oldestFirst) {
		if (excess <= 0) break;
		if (shard.inUse) continue;
		going.push(shard);
		excess -= shard.bytes;
	}
	return { going, enough: excess <= 0 };
}
