import type { Bytes } from "../base/units.ts";
import type { Bitfield } from "../content/bitfield.ts";
import type { TitleId } from "../wire/ids.ts";

/** One shard that this box is to hold. */
export interface WantedShard {
	readonly shard: number;
	readonly rank: number;
	/** Bytes of its file, leaves included. */
	readonly bytes: Bytes;
}

/** A placed title, as desired and as seen on disk this round. */
export interface PlacedView {
	readonly id: TitleId;
	/** Undefined while the manifest is not on disk. */
	readonly shards: readonly WantedShard[] | undefined;
	readonly held: Bitfield | undefined;
}

export interface FillView {
	readonly placed: readonly PlacedView[];
	/** Bytes that placed shards may take in all. */
	readonly room: Bytes;
	/** How many shards may be fetched at a time. */
	readonly parallel: number;
}

/** What to do next for the placement. Executors do one step each; what they did is seen on disk next round. */
export type FillStep =
	| { readonly kind: "fetch-manifest"; readonly title: TitleId }
	| {
			readonly kind: "fetch-shard";
			readonly title: TitleId;
			readonly shard: number;
			readonly rank: number;
	  };

export interface FillPlan {
	readonly steps: readonly FillStep[];
	readonly phase: "fetching" | "applied" | "short";
	readonly placedBytes: Bytes;
	readonly heldBytes: Bytes;
	readonly placedShards: number;
	readonly heldShards: number;
	/** Placed bytes that there is no room for. */
	readonly missingBytes: Bytes;
}

/**
 * Manifests first, then shards by rank, rank 0 first: the region's other boxes wait for those.
 * Shards that do not fit are left out from the end, so what is held stays.
 */
export function planFill(view: FillView): FillPlan {
	const steps: FillStep[] = [];
	const missing: (WantedShard & { title: TitleId })[] = [];
	let placedBytes = 0;
	let heldBytes = 0;
	let placedShards = 0;
	let heldShards = 0;
	let unknown = false;
	for (const { id, shards, held } of view.placed) {
		if (shards === undefined) {
			unknown = true;
			steps.push({ kind: "fetch-manifest", title: id });
			continue;
		}
		for (const wanted of shards) {
			placedShards++;
			placedBytes += wanted.bytes;
			if (held?.has(wanted.shard)) {
				heldShards++;
				heldBytes += wanted.bytes;
			} else missing.push({ ...wanted, title: id });
		}
	}
	missing.sort((a, b) => a.rank - b.rank);
	let room = view.room - heldBytes;
	let missingBytes = 0;
	let fetching = 0;
	for (const { title, shard, rank, bytes } of missing) {
		if (bytes > room) {
			missingBytes += bytes;
			continue;
		}
		room -= bytes;
		fetching++;
		if (fetching <= view.parallel) {
			steps.push({ kind: "fetch-shard", title, shard, rank });
		}
	}
	const busy = unknown || fetching > 0;
	const phase = busy ? "fetching" : missingBytes > 0 ? "short" : "applied";
	return {
		steps,
		phase,
		placedBytes,
		heldBytes,
		placedShards,
		heldShards,
		missingBytes,
	};
}
