import type { Bytes } from "../base/units.ts";
import type { Bitfield } from "../content/bitfield.ts";
import type { TitleId } from "../wire/ids.ts";
import { encodeRanges } from "../wire/ranges.ts";

/** One shard that this box is to hold. Made once: a box may be to hold 65,536, and they are gone through after every step. */
export interface WantedShard {
	readonly title: TitleId;
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
	/** How many neighbours have some of a shard. */
	readonly holders: (title: TitleId, shard: number) => number;
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
		/** Shards that there is no room for, if any, as `wire/ranges.ts` writes them. */
		readonly short?: string;
	}[];
}

/**
 * Manifests first, then shards by rank, rank 0 first: the region's other boxes wait for those. Of what neighbours have, what was begun
 * comes first and then what fewest of them have. What was begun has its room already; shards that do not fit are left out from the end;
 * what is held stays, for as long as the disk has room for it (`relief.ts`).
 */
export function planFill(view: FillView): FillPlan {
	const { begun, fresh, unknown, ...levels } = takeStock(view.placed);
	let room = view.room - levels.heldBytes;
	const short: WantedShard[] = [];
	const fitting: WantedShard[] = [];
	for (const shards of [byRank(begun), byRank(fresh)])
		for (const shard of shards) {
			if (shard.bytes > room) short.push(shard);
			else {
				room -= shard.bytes;
				fitting.push(shard);
			}
		}
	const manifests = unknown
		.filter((id) => view.outlook(id) === "due")
		.slice(0, view.free.manifests)
		.map((title) => ({ kind: "fetch-manifest", title }) as const);
	const { fetches, waiting } = chooseShards(
		byRank(fitting),
		new Set(begun),
		view,
	);
	const missingBytes = short.reduce((sum, { bytes }) => sum + bytes, 0);
	const busy = unknown.length > 0 || fitting.length > 0;
	const phase = busy ? "fetching" : missingBytes > 0 ? "short" : "applied";
	const steps = [...manifests, ...fetches];
	const titles = withShort(levels.titles, short);
	return { steps, waiting, phase, missingBytes, ...levels, titles };
}

function takeStock(placed: readonly PlacedView[]) {
	const unknown: TitleId[] = [];
	const begun: WantedShard[] = [];
	const fresh: WantedShard[] = [];
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
			list.push(wanted);
		}
		placedShards += shards.length;
		heldShards += held;
		titles.push({ id, placed: shards.length, held, bytes });
	}
	return {
		unknown,
		begun,
		fresh,
		titles,
		placedBytes,
		heldBytes,
		placedShards,
		heldShards,
	};
}

function withShort(
	titles: FillPlan["titles"],
	short: readonly WantedShard[],
): FillPlan["titles"] {
	if (short.length === 0) return titles;
	const byTitle = Map.groupBy(short, ({ title }) => title);
	return titles.map((title) => {
		const missing = byTitle.get(title.id);
		if (missing === undefined) return title;
		return { ...title, short: encodeRanges(missing.map(({ shard }) => shard)) };
	});
}

/** A stable sort: within a rank what was begun stays in front. */
function byRank(shards: readonly WantedShard[]): WantedShard[] {
	return shards.toSorted((a, b) => a.rank - b.rank);
}

/** Two lanes: what may come from the origin, and what neighbours have. */
function chooseShards(
	missing: readonly WantedShard[],
	begun: ReadonlySet<WantedShard>,
	view: FillView,
) {
	const fetches: FillStep[] = [];
	const waiting: { title: TitleId; shard: number }[] = [];
	const here: WantedShard[] = [];
	let { origin } = view.free;
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
		if (lane === "neighbours" && view.free.neighbours > 0) here.push(wanted);
	}
	const chosen = rarestFirst(here, begun, view);
	for (const wanted of chosen.slice(0, view.free.neighbours)) {
		const { title, shard, rank } = wanted;
		fetches.push({ kind: "fetch-shard", title, shard, rank, origin: false });
	}
	return { fetches, waiting };
}

/** What is begun stays in front: it takes room already. A stable sort: of what is as rare, lower ranks come first. */
function rarestFirst(
	here: readonly WantedShard[],
	begun: ReadonlySet<WantedShard>,
	view: FillView,
): WantedShard[] {
	const keyed = here.map((wanted) => {
		const { title, shard } = wanted;
		const isBegun = begun.has(wanted);
		return { wanted, holders: isBegun ? 0 : view.holders(title, shard) };
	});
	return keyed
		.sort((a, b) => a.holders - b.holders)
		.map(({ wanted }) => wanted);
}

function laneOf(outlook: Outlook): "origin" | "neighbours" | undefined {
	if (outlook === "due") return "origin";
	if (outlook === "here") return "neighbours";
	return undefined;
}
