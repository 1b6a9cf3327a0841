import type { Bytes, Millis } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";

/** A shard on disk that no placement asks for. */
export interface TransientShard {
	readonly title: TitleId;
	readonly shard: number;
	readonly bytes: Bytes;
	/** When a viewer last read of it; 0 when not since the start. */
	readonly lastRead: Millis;
}

/**
 * Which transient shards go so that `bytes` more fit below `limit`: least recently read first.
 * Undefined when even all of them would not make enough room.
 */
export function planEviction(
	shards: readonly TransientShard[],
	bytes: Bytes,
	limit: Bytes,
): readonly TransientShard[] | undefined {
	let used = shards.reduce((sum, shard) => sum + shard.bytes, 0);
	const going: TransientShard[] = [];
	const oldestFirst = [...shards].sort((a, b) => a.lastRead - b.lastRead);
	for (const shard of oldestFirst) {
		if (used + bytes <= limit) return going;
		going.push(shard);
		used -= shard.bytes;
	}
	return used + bytes <= limit ? going : undefined;
}
