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
	/** Shards of which some blocks are on disk. */
	readonly begun: ReadonlySet<number>;
}

/**
 * How a missing shard or manifest stands.
 * `running`: a step for it is under way. `resting`: one failed a moment ago. `here`: a neighbour has some of it that this box has not.
 * `due`: the origin may be asked. `waiting`: for those before this box in rank.
 */
export type Outlook = "running" | "resting" | "here" | "due" | "waiting";

/** How many steps may be under way by where the bytes come from, so that shards that wait for neighbours hold up no others. */
export interface Lanes {
	readonly manifests: number;
	readonly origin: number;
	readonly neighbours: number;
}

export interface FillView {
	readonly placed: readonly PlacedView[];
	/** Bytes that placed shards may take in all. */
	readonly room: Bytes;
	/** What may still be begun. */
	readonly free: Lanes;
	/** At most so many missing shards that neighbours are to bring are looked at. */
	readonly look: number;
	/** How a missing shard stands, or the manifest of a title. */
	readonly outlook: (title: TitleId, shard?: WantedShard) => Outlook;
}

/** What to do next for the placement. Executors do one step each; what they did is seen on disk next round. */
export type FillStep =
	| { readonly kind: "fetch-manifest"; readonly title: TitleId }
	| {
			readonly kind: "fetch-shard";
			readonly title: TitleId;
			readonly shard: number;
			readonly rank: number;
			/** Whether the origin may be asked; else neighbours only. */
			readonly origin: boolean;
	  }
	/** There is no room for it any more. */
	| {
			readonly kind: "drop-shard";
			readonly title: TitleId;
			readonly shard: number;
	  };

export interface FillPlan {
	/** What to begin. */
	readonly steps: readonly FillStep[];
	/** Shards whose holders are to be looked for. */
	readonly waiting: readonly {
		readonly title: TitleId;
		readonly shard: number;
	}[];
	readonly phase: "fetching" | "applied" | "short";
	readonly placedBytes: Bytes;
	readonly heldBytes: Bytes;
	readonly placedShards: number;
	readonly heldShards: number;
	/** Placed bytes that there is no room for. */
	readonly missingBytes: Bytes;
	readonly titles: readonly {
		readonly id: TitleId;
		readonly placed: number;
		readonly held: number;
		/** Of held shards that are placed: what else is here of the title was only watched, and is nobody's business. */
		readonly bytes: Bytes;
	}[];
}

type Missing = WantedShard & { readonly title: TitleId };

/**
 * Manifests first, then shards by rank, rank 0 first: the region's other boxes wait for those. What was begun goes before
 * what was not. Shards that do not fit are left out from the end, so what is held stays; only when what is held has
 * itself outgrown its room are shards dropped, last ranks first.
 */
export function planFill(view: FillView): FillPlan {
	const { missing, unknown, ...levels } = takeStock(view.placed);
	const dropped = excess(view.placed, levels.heldBytes - view.room);
	let room = view.room - levels.heldBytes;
	let missingBytes = dropped.reduce((sum, { bytes }) => sum + bytes, 0);
	const fitting: Missing[] = [];
	for (const shard of missing) {
		if (shard.bytes > room) missingBytes += shard.bytes;
		else {
			room -= shard.bytes;
			fitting.push(shard);
		}
	}
	const manifests = unknown
		.filter((id) => view.outlook(id) === "due")
		.slice(0, view.free.manifests)
		.map((title) => ({ kind: "fetch-manifest", title }) as const);
	const { fetches, waiting } = chooseShards(fitting, view);
	const drops = dropped.map(
		({ title, shard }) => ({ kind: "drop-shard", title, shard }) as const,
	);
	const busy = unknown.length > 0 || fitting.length > 0;
	const phase = busy ? "fetching" : missingBytes > 0 ? "short" : "applied";
	const steps = [...drops, ...manifests, ...fetches];
	return { steps, waiting, phase, missingBytes, ...levels };
}

function takeStock(placed: readonly PlacedView[]) {
	const unknown: TitleId[] = [];
	const begun: Missing[] = [];
	const fresh: Missing[] = [];
	const titles: FillPlan["titles"][number][] = [];
	let placedBytes = 0;
	let heldBytes = 0;
	let placedShards = 0;
	let heldShards = 0;
	for (const view of placed) {
		const { id, shards = [] } = view;
		if (view.shards === undefined) unknown.push(id);
		let held = 0;
		let bytes = 0;
		for (const wanted of shards) {
			placedBytes += wanted.bytes;
			if (view.held?.has(wanted.shard)) {
				heldBytes += wanted.bytes;
				bytes += wanted.bytes;
				held++;
				continue;
			}
			const list = view.begun.has(wanted.shard) ? begun : fresh;
			list.push({ ...wanted, title: id });
		}
		placedShards += shards.length;
		heldShards += held;
		titles.push({ id, placed: shards.length, held, bytes });
	}
	// A stable sort: within a rank what was begun stays in front.
	const missing = [...begun, ...fresh].sort((a, b) => a.rank - b.rank);
	return {
		unknown,
		missing,
		titles,
		placedBytes,
		heldBytes,
		placedShards,
		heldShards,
	};
}

/** Held shards that make up at least `bytes`, last ranks first. */
function excess(placed: readonly PlacedView[], bytes: Bytes): Missing[] {
	if (bytes <= 0) return [];
	const held = placed.flatMap(({ id, shards = [], held }) =>
		shards
			.filter(({ shard }) => held?.has(shard))
			.map((shard) => ({ ...shard, title: id })),
	);
	const going: Missing[] = [];
	let left = bytes;
	for (const shard of held.sort((a, b) => b.rank - a.rank)) {
		if (left <= 0) break;
		going.push(shard);
		left -= shard.bytes;
	}
	return going;
}

/** Two lanes: what may come from the origin, and what neighbours have. */
function chooseShards(missing: readonly Missing[], view: FillView) {
	const fetches: FillStep[] = [];
	const waiting: { title: TitleId; shard: number }[] = [];
	let { origin, neighbours } = view.free;
	let { look } = view;
	for (const wanted of missing) {
		const { title, shard, rank } = wanted;
		if (rank === 0 && origin <= 0) continue;
		if (rank > 0 && look-- <= 0) break;
		const outlook = view.outlook(title, wanted);
		if (outlook === "waiting") waiting.push({ title, shard });
		const lane = laneOf(outlook);
		if (lane === "origin" && origin > 0) {
			origin--;
			fetches.push({ kind: "fetch-shard", title, shard, rank, origin: true });
		}
		if (lane === "neighbours" && neighbours > 0) {
			neighbours--;
			fetches.push({ kind: "fetch-shard", title, shard, rank, origin: false });
		}
	}
	return { fetches, waiting };
}

function laneOf(outlook: Outlook): "origin" | "neighbours" | undefined {
	if (outlook === "due") return "origin";
	if (outlook === "here") return "neighbours";
	return undefined;
}
