import type { BoxId, TitleId } from "../wire/ids.ts";
import type { Assignment } from "./placement.ts";

/** How many shards of a title a box holds. */
export type Held = (box: BoxId, title: TitleId) => number;

/**
 * A plan without what boxes that are leaving have handed on: a title is taken off them once each of its shards is on another box that holds
 * all that it is to hold of the title.
 */
export function handOn(
	current: Assignment,
	leaving: ReadonlySet<BoxId>,
	held: Held,
): Assignment {
	const next = new Map<TitleId, readonly (readonly BoxId[])[]>();
	for (const [title, shards] of current) {
		const due = new Map<BoxId, number>();
		for (const box of shards.flat()) due.set(box, (due.get(box) ?? 0) + 1);
		const isWhole = (box: BoxId) =>
			!leaving.has(box) && held(box, title) >= (due.get(box) ?? 0);
		const isSafe = shards.every((holders) => holders.some(isWhole));
		const stays = (box: BoxId) => !leaving.has(box);
		next.set(
			title,
			isSafe ? shards.map((holders) => holders.filter(stays)) : shards,
		);
	}
	return next;
}
