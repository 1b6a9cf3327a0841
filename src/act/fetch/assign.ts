import { type Bytes, MiB, type Millis } from "../../base/units.ts";
import { blocksIn, runBytes } from "../../content/geometry.ts";
import { rarestFirst } from "../../plan/rarest.ts";
import {
	chooseSource,
	type Errand,
	hasRoom,
	isPressing,
	isTooSlow,
	NEXT,
	PRESSING,
	rescueOf,
	type ViewerPatience,
} from "../../plan/source.ts";
import { turnIn } from "../../plan/turn.ts";
import { MAX_RUN } from "../../wire/exchange.ts";
import type { Candidate } from "../ports.ts";
import type { Giver, ShardPlace } from "./ask.ts";
import type { Flight, Flights } from "./flights.ts";
import type { Demand, Wants } from "./wants.ts";

/** What one request to the origin covers for a viewer: a part that boxes have by turns. For fill it is all that is wanted in a row. */
const ORIGIN_RUN: Bytes = MiB;

/** How a shard stands at the moment. */
export interface Situation {
	readonly place: ShardPlace;
	readonly wants: Wants;
	readonly flights: Flights;
	/** Whether a block has come, and waits for its leaves to be judged. */
	readonly isEarly: (block: number) => boolean;
	/** Neighbours that have some of it and did not just fail. */
	readonly candidates: readonly Candidate[];
	/** How many others come before this box where nobody has a part of the shard. */
	readonly turn: (part: number) => number;
	readonly originFailed: boolean;
	/** Since when the shard's holders have been looked for. */
	readonly soughtAt: Millis;
	/** When a block came last. */
	readonly progressAt: Millis;
	/** Whether the disk is behind: only what is pressing is asked for. */
	readonly behind: boolean;
	readonly patience: Pick<ViewerPatience, "rescue" | "holder">;
	/** Asks for a run of blocks, of which the first is likely to take so long. To be in `flights` at once. */
	readonly ask: (
		giver: Giver,
		run: { readonly first: number; readonly count: number },
		how: { readonly pressing: boolean; readonly takes: Millis },
	) => void;
}

export interface Assigned {
	/** When to look again without news. */
	readonly wake: Millis;
	/** Whether some wanted block is with no neighbour. */
	readonly lacking: boolean;
	/** Whether some wanted block is only with neighbours that have their hands full. */
	readonly crowded: boolean;
}

type Open = Candidate & { inFlight: Bytes };

/** Asks for everything wanted that somebody can be asked for now, most pressing first. */
export function assign(now: Situation, at: Millis): Assigned {
	const candidates: Open[] = now.candidates.map((one) => ({ ...one }));
	let wake = Number.POSITIVE_INFINITY;
	let lacking = false;
	let crowded = false;
	const near = blocksWorth(now, NEXT);
	let next = 0;
	for (const demand of mostPressingFirst(now)) {
		const { block, deadline } = demand;
		if (now.isEarly(block)) continue;
		const slack = deadline - at;
		const pressing = isPressing(slack);
		if (!pressing) wake = Math.min(wake, slack - PRESSING);
		let flying = now.flights.of(block);
		let isLate = false;
		if (flying.length > 0) {
			if (demand.fill !== undefined) continue;
			const standing = { isNext: ++next <= near, slack };
			const rescue = rescueOf(errands(flying, at), standing, now.patience);
			const { wait = now.patience.rescue } = rescue;
			wake = Math.min(wake, wait);
			if (rescue.by === "nobody") continue;
			isLate = rescue.by === "surest";
			if (rescue.by === "urgency") {
				for (const flight of flying) recall(flight, candidates, now);
				flying = [];
			}
		} else if (!pressing && now.behind) continue;
		const holders = candidates.filter(({ blocks }) => blocks.has(block));
		if (holders.length === 0) lacking = true;
		const asked = (giver: Giver) => flying.some((f) => f.giver === giver);
		const barred = now.originFailed || asked("origin");
		const size = bytesOf(now, block, 1);
		const held = holders.some((one) => !isTooSlow(one, size, slack));
		const waited = at - waitingSince(demand, pressing, held, now);
		const part = Math.floor(block / blocksWorth(now, ORIGIN_RUN));
		const turn = held ? 0 : turnIn(now.turn(part)) - (at - demand.since);
		const choice = chooseSource({
			bytes: size,
			candidates:
				isLate && !barred ? [] : holders.filter(({ box }) => !asked(box)),
			slack,
			originIn: barred
				? Number.POSITIVE_INFINITY
				: demand.originIn({ held, waited, turn, slack }),
		});
		if (choice.from === "nobody") {
			wake = Math.min(wake, choice.wait);
			crowded ||= holders.length > 0;
			// What follows is no more pressing, and nobody else is to be asked for it.
			if (!pressing && isHopeless(candidates, demand, size)) break;
		} else if (choice.from === "origin") {
			const parts = blocksWorth(now, ORIGIN_RUN);
			const isFill = demand.fill !== undefined;
			// What neighbours hold and have no time for: what follows they may have.
			const few = flying.length > 0 || (held && !isFill);
			const most = isFill ? Infinity : parts - (block % parts);
			const count = few ? 1 : span(now, block, most);
			now.ask("origin", { first: block, count }, { pressing, takes: 0 });
		} else {
			const chosen = holders.find(({ box }) => box === choice.box);
			if (chosen === undefined) continue;
			const most = flying.length > 0 ? 1 : Math.min(choice.most, MAX_RUN);
			const count = span(now, block, most, (b) => chosen.blocks.has(b));
			chosen.inFlight += bytesOf(now, block, count);
			const { takes } = choice;
			now.ask(chosen.box, { first: block, count }, { pressing, takes });
		}
	}
	return { wake, lacking, crowded };
}

/** What viewers want in order, then of what fill wants and nobody was asked for the rarest first. */
function* mostPressingFirst({
	wants,
	candidates,
	flights,
}: Situation): Generator<Demand> {
	const filling: Demand[] = [];
	for (const demand of wants.inOrder()) {
		if (demand.fill === undefined) yield demand;
		else if (flights.of(demand.block).length === 0) filling.push(demand);
	}
	yield* rarestFirst(filling, candidates, filling[0]?.fill ?? 0);
}

/** Whether nobody has room for more, and what follows is all there or not to be had from the origin. */
function isHopeless(
	candidates: readonly Candidate[],
	{ originIn }: Demand,
	bytes: Bytes,
): boolean {
	return (
		(candidates.some(({ blocks }) => blocks.full) ||
			!Number.isFinite(
				originIn({ held: false, waited: 0, turn: 0, slack: 0 }),
			)) &&
		!candidates.some((one) => hasRoom(one, bytes, false))
	);
}

/** Who fills need not hurry: what he was asked for is not waited for. The origin does what it is asked to at once, whatever for. */
function errands(flying: readonly Flight[], at: Millis): Errand[] {
	return flying.map(({ giver, purpose, since, takes }) => ({
		age: purpose === "fill" ? Number.POSITIVE_INFINITY : at - since,
		takes,
		urgent: purpose === "viewer" || giver === "origin",
	}));
}

/** Ends a request for what is asked for anew. */
function recall(flight: Flight, candidates: Open[], now: Situation): void {
	const giver = candidates.find(({ box }) => box === flight.giver);
	const { blockSize } = now.place.manifest;
	if (giver !== undefined) giver.inFlight -= flight.left.size * blockSize;
	now.flights.cancel(flight);
}

/** A block in the queue behind others comes nearer with each that comes, one that a viewer needs does not; nobody's was to be found all along. */
function waitingSince(
	{ since }: Demand,
	pressing: boolean,
	held: boolean,
	{ soughtAt, progressAt }: Situation,
): Millis {
	if (!held) return Math.min(since, soughtAt);
	return pressing ? since : Math.max(since, progressAt);
}

/** How many blocks from here on are wanted, not asked for, and to be had from the same giver. */
function span(
	{ place, wants, flights, isEarly }: Situation,
	first: number,
	most: number,
	has = (_: number) => true,
): number {
	const end = Math.min(first + most, blocksIn(place.manifest, place.shard));
	let block = first + 1;
	while (
		block < end &&
		wants.has(block) &&
		flights.of(block).length === 0 &&
		!isEarly(block) &&
		has(block)
	) {
		block++;
	}
	return block - first;
}

function bytesOf({ place }: Situation, first: number, count: number): Bytes {
	return runBytes(place.manifest, { shard: place.shard, first, count });
}

function blocksWorth({ place }: Situation, bytes: Bytes): number {
	return Math.max(1, Math.floor(bytes / place.manifest.blockSize));
}
