import type { Board } from "./board.ts";
import { mix, scattered, type Urn } from "./draw.ts";

/** How many boxes are compared for each copy. Two would already bound the imbalance (M. Mitzenmacher, "The Power of Two Choices", 1996). */
const DRAWS = 12;
/** Up to so many boxes, all are compared. */
const FEW = 24;
/** A box that lacks less of its fair share than this is left alone: moving copies costs uplinks. */
const SLACK = 0.1;

/** Takes away what is too much: copies above the number asked for, from the fullest; then what a box has no room for, last ranks first. */
export function trim(board: Board, copies: number): void {
	let deepest = 0;
	for (let shard = 0; shard < board.shards; shard++) {
		while (board.copies(shard) > copies) {
			let fullest = board.copies(shard) - 1;
			for (let rank = fullest - 1; rank >= 0; rank--) {
				const pressure = board.pressure(board.holder(shard, rank));
				if (pressure > board.pressure(board.holder(shard, fullest)))
					fullest = rank;
			}
			board.drop(shard, fullest);
		}
		deepest = Math.max(deepest, board.copies(shard));
	}
	for (let rank = deepest - 1; rank >= 0; rank--) {
		for (let shard = 0; shard < board.shards; shard++) {
			const box = board.holder(shard, rank);
			if (box >= 0 && (board.load[box] ?? 0) > (board.capacity[box] ?? 0))
				board.drop(shard, rank);
		}
	}
}

/**
 * Gives shards the copies that they lack: every shard gets its first before any gets its second.
 * @param seeds 32 bits for each title, so that titles begin with different boxes
 */
export function fill(
	board: Board,
	seeds: readonly number[],
	urn: Urn,
	copies: number,
): void {
	const smallest = board.sizes.reduce((a, b) => Math.min(a, b), Infinity);
	let open = urn.boxes;
	for (let wanted = 1; wanted <= copies; wanted++) {
		for (let shard = 0; shard < board.shards; shard++) {
			if (board.copies(shard) >= wanted) continue;
			board.lookAround(shard);
			const title = board.titleOf[shard] ?? 0;
			const seed = mix(mix(seeds[title] ?? 0, shard), wanted);
			let box = best(board, shard, drawn(urn, seed));
			if (box === undefined) {
				// Nearly full fleets only. What is full stays full, so each box is passed over for good once.
				open = open.filter(
					(box) =>
						(board.load[box] ?? 0) + smallest <= (board.capacity[box] ?? 0),
				);
				box = best(board, shard, open);
			}
			if (box !== undefined) board.put(shard, box);
		}
	}
}

/** The boxes to compare for one copy, in an order that favours none. */
function* drawn(urn: Urn, seed: number): Generator<number> {
	const { boxes } = urn;
	if (boxes.length > FEW) {
		for (let i = 0; i < DRAWS; i++) yield urn.draw(mix(seed, i));
		return;
	}
	for (let i = 0; i < boxes.length; i++)
		yield boxes[(seed + i) % boxes.length] ?? 0;
}

function best(
	board: Board,
	shard: number,
	candidates: Iterable<number>,
): number | undefined {
	let found: number | undefined;
	let least = Infinity;
	for (const box of candidates) {
		const cost = board.cost(box, shard);
		if (cost >= least || !board.fits(box, shard) || board.holds(box, shard))
			continue;
		found = box;
		least = cost;
	}
	return found;
}

/**
 * Boxes far below their share take copies from boxes above theirs: last ranks first, from all over the titles. Who has led a
 * shard goes on leading it: a leader that does not have it yet would fetch it over the trunk once more.
 */
export function level(board: Board, boxes: readonly number[]): void {
	let takers = boxes.filter((box) => board.pressure(box) < 1 - SLACK);
	// First only where it does not spoil the striping, then anywhere.
	for (const crowded of [0, Infinity]) {
		for (const shard of scattered(board.shards)) {
			if (takers.length === 0) return;
			const copies = board.copies(shard);
			const last = copies > 1 && !board.isNew(shard) ? 1 : 0;
			for (let rank = copies - 1; rank >= last; rank--) {
				const pressure = board.pressure(board.holder(shard, rank));
				if (pressure <= 1) continue;
				board.lookAround(shard);
				const size = board.sizes[shard] ?? 0;
				const taker = best(
					board,
					shard,
					takers.filter(
						(box) =>
							board.crowding(box) <= crowded &&
							board.pressure(box, size) < pressure,
					),
				);
				if (taker === undefined) continue;
				board.drop(shard, rank);
				board.put(shard, taker);
				if (board.pressure(taker) >= 1)
					takers = takers.filter((box) => box !== taker);
			}
		}
	}
}

/** Gives shards that nobody has yet to whoever leads the fewest: fetching from the origin is work for all. */
export function lead(board: Board): void {
	const duty = new Float64Array(board.share.length);
	const burden = (box: number) => (duty[box] ?? 0) / (board.share[box] ?? 0);
	const take = (shard: number) => {
		const leader = board.holder(shard, 0);
		if (leader >= 0)
			duty[leader] = (duty[leader] ?? 0) + (board.sizes[shard] ?? 0);
	};
	for (let shard = 0; shard < board.shards; shard++)
		if (!board.isNew(shard)) take(shard);
	for (let shard = 0; shard < board.shards; shard++) {
		if (!board.isNew(shard)) continue;
		let leader = 0;
		for (let rank = 1; rank < board.copies(shard); rank++)
			if (
				burden(board.holder(shard, rank)) < burden(board.holder(shard, leader))
			)
				leader = rank;
		if (leader > 0) board.promote(shard, leader);
		take(shard);
	}
}
