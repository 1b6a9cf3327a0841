import type { BoxId, TitleId } from "../wire/ids.ts";
import type { HolderTable, PlacedTitle } from "../wire/placement.ts";
import { encodeRanges } from "../wire/ranges.ts";
import type { Assignment } from "./placement.ts";

/** Each box's part of an assignment, titles in order of id. Boxes with no part are left out. */
export function placedTitles(
	assignment: Assignment,
): ReadonlyMap<BoxId, readonly PlacedTitle[]> {
	const placed = new Map<BoxId, PlacedTitle[]>();
	for (const id of [...assignment.keys()].toSorted(inOrder)) {
		for (const [box, ranks] of ranksByBox(assignment.get(id) ?? [])) {
			const title: PlacedTitle = {
				id,
				ranks: [...ranks]
					.toSorted(([a], [b]) => a - b)
					.map(([rank, shards]) => ({ rank, shards: encodeRanges(shards) })),
			};
			const titles = placed.get(box);
			if (titles === undefined) placed.set(box, [title]);
			else titles.push(title);
		}
	}
	return placed;
}

function ranksByBox(
	shards: readonly (readonly BoxId[])[],
): Map<BoxId, Map<number, number[]>> {
	const boxes = new Map<BoxId, Map<number, number[]>>();
	for (const [shard, holders] of shards.entries()) {
		for (const [rank, box] of holders.entries()) {
			const ranks = boxes.get(box) ?? new Map<number, number[]>();
			boxes.set(box, ranks);
			const list = ranks.get(rank);
			if (list === undefined) ranks.set(rank, [shard]);
			else list.push(shard);
		}
	}
	return boxes;
}

/** The holders of one title as its table lists them: boxes in order of id, shards as numbers of boxes by rank. */
export function tableOf(
	shards: readonly (readonly BoxId[])[],
): Pick<HolderTable, "boxes" | "shards"> {
	const boxes = [...new Set(shards.flat())].toSorted(inOrder);
	const numbers = new Map(boxes.map((box, number) => [box, number]));
	return {
		boxes,
		shards: shards.map((row) => row.map((box) => numbers.get(box) ?? 0)),
	};
}

/** What `tableOf` was made from. Numbers that name no box are left out. */
export function holdersOf(
	table: Pick<HolderTable, "boxes" | "shards">,
): BoxId[][] {
	return table.shards.map((row) =>
		row.flatMap((number) => table.boxes[number] ?? []),
	);
}

function inOrder(a: TitleId | BoxId, b: TitleId | BoxId): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
