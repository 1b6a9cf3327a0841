import type { Bytes } from "../base/units.ts";
import {
	type Geometry,
	shardCount,
	shardFileBytes,
} from "../content/geometry.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import { Board } from "./board.ts";
import { Urn } from "./draw.ts";
import { fairShares } from "./share.ts";
import { fill, lead, level, trim } from "./spread.ts";

/** Shards this close together are played one after the other; their uplinks are to be different ones. */
const SPAN = 4;
/** A box that was never seen still counts a little, or a new fleet could not begin. */
const LEAST_PRESENCE = 0.05;

export interface PlannedTitle {
	readonly id: TitleId;
	readonly geometry: Geometry;
}

export interface PlannedBox {
	readonly id: BoxId;
	/** How many bytes may be placed on it. */
	readonly capacity: Bytes;
	/** The part of the time that it is there, 0 to 1. */
	readonly presence: number;
	/** Whether neighbours can connect to it; one that they cannot gets nothing. */
	readonly reachable: boolean;
	/** Away for long or about to leave: keeps what it has, but nobody counts on it. */
	readonly draining?: boolean;
}

/** For each title, for each of its shards: who is to hold it, by rank. Rank 0 fetches from the origin. */
export type Assignment = ReadonlyMap<TitleId, readonly (readonly BoxId[])[]>;

export interface PlacementInput {
	readonly titles: readonly PlannedTitle[];
	readonly boxes: readonly PlannedBox[];
	/** How many different boxes are to hold each shard; with fewer boxes, as many as there are. */
	readonly copies: number;
	/** What the last plan said. Titles and boxes that are no longer there are passed over. */
	readonly current: Assignment;
}

export interface PlacementPlan {
	readonly holders: Assignment;
	/** Copies below `copies` that found no box, by title; only titles that miss some. */
	readonly missing: ReadonlyMap<TitleId, number>;
}

/**
 * Decides which box holds which shard. What is already placed stays, in its order of ranks; what is missing goes to the
 * emptiest of a few boxes drawn by fair share, away from the neighbouring shards; a box far below its share takes copies
 * of those above theirs, and no more. Depends on nothing but its input, and not on the input's order.
 */
export function planPlacement(input: PlacementInput): PlacementPlan {
	const titles = input.titles.toSorted(byId);
	const boxes = input.boxes
		.filter((box) => box.reachable && box.capacity > 0)
		.toSorted(byId);
	const shards = layOut(titles);
	const settled = boxes.filter((box) => box.draining !== true).length;
	const copies = Math.min(input.copies, settled);
	const share = sharesOf(boxes, shards.sizes, copies);
	const board = new Board(
		shards,
		{ capacity: Float64Array.from(boxes, (box) => box.capacity), share },
		widest(input.current, copies),
		spanFor(settled, copies),
	);
	const leaving = adopt(board, titles, boxes, input.current);
	trim(board, copies);
	if (copies > 0) {
		const urn = new Urn(share);
		const seeds = titles.map(({ id }) => Number.parseInt(id.slice(0, 8), 16));
		fill(board, seeds, urn, copies);
		level(board, urn.boxes);
		lead(board);
	}
	return report(board, titles, boxes, input.copies, leaving);
}

/** How far apart shards can be and still all be on different boxes, without which a small fleet would avoid everybody. */
function spanFor(boxes: number, copies: number): number {
	const ways = boxes / Math.max(1, copies);
	return ways < 2 ? 0 : Math.min(SPAN, Math.max(1, Math.floor((ways - 1) / 2)));
}

function layOut(titles: readonly PlannedTitle[]) {
	const counts = titles.map((title) => shardCount(title.geometry));
	const total = counts.reduce((sum, count) => sum + count, 0);
	const sizes = new Float64Array(total);
	const titleOf = new Int32Array(total);
	let at = 0;
	for (const [number, { geometry }] of titles.entries()) {
		for (let shard = 0; shard < (counts[number] ?? 0); shard++, at++) {
			sizes[at] = shardFileBytes(geometry, shard);
			titleOf[at] = number;
		}
	}
	return { sizes, titleOf };
}

/** Fair shares: by capacity and presence; at most the capacity, and at most every shard once. */
function sharesOf(
	boxes: readonly PlannedBox[],
	sizes: Float64Array,
	copies: number,
): Float64Array {
	const everything = sizes.reduce((sum, size) => sum + size, 0);
	const weights = Float64Array.from(boxes, (box) =>
		box.draining === true
			? 0
			: box.capacity * Math.min(1, Math.max(LEAST_PRESENCE, box.presence)),
	);
	const limits = Float64Array.from(boxes, (box) =>
		Math.min(box.capacity, everything),
	);
	return fairShares(everything * copies, weights, limits);
}

function widest(current: Assignment, copies: number): number {
	let width = Math.max(1, copies);
	for (const shards of current.values())
		for (const holders of shards) width = Math.max(width, holders.length);
	return width;
}

/** Keeps what the last plan placed. Gives back, by shard, the boxes that keep a copy on which nobody counts. */
function adopt(
	board: Board,
	titles: readonly PlannedTitle[],
	boxes: readonly PlannedBox[],
	current: Assignment,
): ReadonlyMap<number, readonly number[]> {
	const numbers = new Map(boxes.map((box, number) => [box.id, number]));
	const leaving = new Map<number, number[]>();
	const leavingLoad = new Float64Array(boxes.length);
	let first = 0;
	for (const { id, geometry } of titles) {
		const count = shardCount(geometry);
		for (const [offset, holders] of (current.get(id) ?? []).entries()) {
			if (offset >= count) break;
			const shard = first + offset;
			for (const holder of holders) {
				const box = numbers.get(holder);
				if (box === undefined || board.holds(box, shard)) continue;
				if (boxes[box]?.draining !== true) {
					board.keep(shard, box);
					continue;
				}
				const kept = leaving.get(shard) ?? [];
				const load = (leavingLoad[box] ?? 0) + (board.sizes[shard] ?? 0);
				if (kept.includes(box) || load > (board.capacity[box] ?? 0)) continue;
				leavingLoad[box] = load;
				leaving.set(shard, [...kept, box]);
			}
		}
		first += count;
	}
	return leaving;
}

function report(
	board: Board,
	titles: readonly PlannedTitle[],
	boxes: readonly PlannedBox[],
	copies: number,
	leaving: ReadonlyMap<number, readonly number[]>,
): PlacementPlan {
	const holders = new Map<TitleId, BoxId[][]>();
	const missing = new Map<TitleId, number>();
	let shard = 0;
	for (const { id, geometry } of titles) {
		const shards: BoxId[][] = [];
		let short = 0;
		for (let left = shardCount(geometry); left > 0; left--, shard++) {
			const row: BoxId[] = [];
			const add = (number: number) => {
				const box = boxes[number];
				if (box !== undefined) row.push(box.id);
			};
			for (let rank = 0; rank < board.copies(shard); rank++)
				add(board.holder(shard, rank));
			for (const box of leaving.get(shard) ?? []) add(box);
			short += copies - board.copies(shard);
			shards.push(row);
		}
		holders.set(id, shards);
		if (short > 0) missing.set(id, short);
	}
	return { holders, missing };
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
	return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
