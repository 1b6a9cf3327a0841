import { LarderError } from "../../base/errors.ts";
import { sleep } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { shardCount, shardFileBytes } from "../../content/geometry.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Fetcher } from "../fetch/fetcher.ts";
import { findManifest, type ManifestPorts } from "../play/manifest.ts";
import type { HolderBook } from "../ports.ts";
import type { Room } from "../room.ts";

export interface WholePorts extends ManifestPorts {
	readonly fetcher: Pick<Fetcher, "fill">;
	readonly holders: HolderBook;
	readonly room: Room;
	/** How long it is left to neighbours before the origin is asked. */
	readonly takeover: Millis;
}

/**
 * Brings a whole title onto this disk although it is not placed here, behind all that viewers and placements want. What the
 * streaming share has no room for stays away, and is to be had as a viewer gets it. Nothing of it is evicted until the
 * function given back is called. Throws TITLE_UNAVAILABLE, and what the disk and the origin say.
 */
export async function bringWhole(
	id: TitleId,
	ports: WholePorts,
	signal: AbortSignal,
): Promise<() => void> {
	const { neighbours, store, room } = ports;
	const unwatch = neighbours.watch(id);
	const pins: (() => void)[] = [];
	const free = () => {
		for (const unpin of pins) unpin();
	};
	try {
		const manifest = await findManifest(id, ports, signal);
		for (let shard = 0; shard < shardCount(manifest); shard++) {
			pins.push(room.use(id, shard));
			if (store.inventory(id)?.held.has(shard)) continue;
			if (!room.make(id, shard, shardFileBytes(manifest, shard))) continue;
			await bring({ title: id, shard, manifest }, ports, signal);
		}
		return free;
	} catch (error) {
		free();
		throw error;
	} finally {
		unwatch();
	}
}

async function bring(
	place: Parameters<Fetcher["fill"]>[0],
	{ fetcher, holders, takeover }: WholePorts,
	signal: AbortSignal,
): Promise<void> {
	const { title, shard } = place;
	holders.dial(title, shard);
	if (await fetcher.fill(place, false, signal)) return;
	await sleep(takeover, signal);
	if (await fetcher.fill(place, true, signal)) return;
	const what = `nobody has shard ${shard} of ${title}`;
	throw new LarderError("TITLE_UNAVAILABLE", what);
}
