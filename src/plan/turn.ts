import type { Millis } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";
import { mix } from "./draw.ts";

/** Each turn lasts as long as it takes until others hear of what came over the trunk, and get it. */
const TURN: Millis = 500;

/**
 * How many others come before a box where several want what nobody has: each has its turn to fetch it over the trunk, by lot and in
 * another order for each piece, so that of a title that many begin to watch at once not all fetch all. The box with the highest
 * hash comes first (D. Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998).
 * @param piece 32 bits that all have alike for it
 */
export function turnOf(
	mine: BoxId,
	others: Iterable<BoxId>,
	piece: number,
): number {
	const own = lot(mine, piece);
	let before = 0;
	for (const other of others) if (lot(other, piece) > own) before++;
	return before;
}

/** How long a box waits until its turn. */
export function turnIn(turn: number): Millis {
	return turn * TURN;
}

/** 32 bits of a piece of a title. */
export function pieceOf(title: string, shard: number, part: number): number {
	return mix(mix(Number.parseInt(title.slice(0, 8), 16), shard), part);
}

function lot(box: BoxId, piece: number): number {
	return mix(Number.parseInt(box.slice(0, 8), 16), piece);
}
