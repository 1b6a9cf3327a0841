import { MINUTE, SECOND } from "../base/time.ts";
import { type Bytes, KiB, MiB, type Millis, type Rate } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";
import type { Level } from "../wire/near.ts";

/** A neighbour that holds what is wanted and has not just failed to give it. */
export interface SourceCandidate {
	readonly box: BoxId;
	readonly level: Level;
	/** Bytes asked of it, by whomever, and not yet come. */
	readonly inFlight: Bytes;
	/** How many bytes may be in flight to it. */
	readonly window: Bytes;
	/** 0 when unproven. */
	readonly throughput: Rate;
	readonly roundTrip: Millis;
}

export interface SourceQuestion {
	/** Bytes of the one block that is to be had first. */
	readonly bytes: Bytes;
	readonly candidates: readonly SourceCandidate[];
	/** How long until a viewer needs it: below 0 it is late, Infinity when nobody does. */
	readonly slack: Millis;
	/** In how long the origin may be asked; Infinity for never. */
	readonly originIn: Millis;
}

export type SourceChoice =
	/** At most so many blocks in one go; the first is likely to take so long. */
	| {
			readonly from: "neighbour";
			readonly box: BoxId;
			readonly most: number;
			readonly takes: Millis;
	  }
	| { readonly from: "origin" }
	/** Nobody yet; ask again after so long, or at news. */
	| { readonly from: "nobody"; readonly wait: Millis };

/** What an unproven neighbour is taken for: a 5 Mbit/s uplink. */
const UNPROVEN: Rate = 625_000;
/** What may be in flight to this box in all, more than any uplink's delay is worth; and to have from each neighbour, a request at least. */
const IN_FLIGHT: Bytes = 16 * MiB;
const LEAST_EACH: Bytes = 256 * KiB;
/** What is pressing goes before all else at the neighbour, so what is in flight there keeps it out less. */
const PRESSING_WINDOW = 2;
/** Pressing blocks are spread over neighbours that would need longer than this for the next one. */
const PRESSING_SLICE: Millis = 50;

/**
 * Neighbours are as good as each other for a block that each is likely to have sent in this part of the time that is left: what was
 * measured of one may have halved since, and a block that does not come has to be asked for once more.
 */
const LEISURE = 1 / 4;

/** A block is pressing that a viewer needs this soon: whatever is surest brings it, at the cost of small requests. */
export const PRESSING: Millis = 4 * SECOND;

export function isPressing(slack: Millis): boolean {
	return slack <= PRESSING;
}

/**
 * Where the next block comes from: of the neighbours with room in their windows the one that is likely to have sent it first, or
 * the nearest of those that have time enough; the origin when nobody has room, once it may be asked.
 * Likely time = round trip + (bytes in flight + bytes asked) / throughput.
 * A viewer does not wait for a neighbour that would be too slow for one block even with nothing else to do, as long as the origin is
 * there; nor for one that has too much else to do, once the origin may be asked.
 */
export function chooseSource(question: SourceQuestion): SourceChoice {
	const { bytes, candidates, slack, originIn } = question;
	const pressing = isPressing(slack);
	const [best, bestTime] = nearestInTime(
		candidates.filter((one) => hasRoom(one, bytes, pressing)),
		bytes,
		slack * LEISURE,
	);
	const tooSlow =
		(Number.isFinite(originIn) && isTooSlow(best, bytes, slack)) ||
		(originIn <= 0 && bestTime > Math.max(slack, VIEWER_PATIENCE.rescue));
	if (best !== undefined && !tooSlow) {
		const slice = (rateOf(best) * PRESSING_SLICE) / SECOND / bytes;
		const most = pressing ? Math.max(1, Math.floor(slice)) : Infinity;
		return { from: "neighbour", box: best.box, most, takes: bestTime };
	}
	if (originIn <= 0) return { from: "origin" };
	return { from: "nobody", wait: originIn };
}

/** The nearest that has sent so many more bytes within the leisure, or as soon as the first; and in how long. */
function nearestInTime(
	candidates: readonly SourceCandidate[],
	bytes: Bytes,
	leisure: Millis,
): readonly [best: SourceCandidate | undefined, time: Millis] {
	const times = candidates.map(
		(one) => one.roundTrip + takes(one, one.inFlight + bytes),
	);
	const enough = Math.max(leisure, Math.min(...times));
	let best: SourceCandidate | undefined;
	let bestTime = Number.POSITIVE_INFINITY;
	for (const [index, one] of candidates.entries()) {
		const time = times[index] ?? Number.POSITIVE_INFINITY;
		if (time > enough) continue;
		const farther = best === undefined ? -1 : one.level - best.level;
		if (farther > 0 || (farther === 0 && time >= bestTime)) continue;
		best = one;
		bestTime = time;
	}
	return [best, bestTime];
}

/** The largest window of each of so many neighbours: all that they owe may come at once, and lies in memory until it is on the disk. */
export function largestWindow(neighbours: number): Bytes {
	return Math.max(LEAST_EACH, IN_FLIGHT / Math.max(1, neighbours));
}

/** Whether a neighbour can be asked for another block now. */
export function hasRoom(
	{ inFlight, window }: SourceCandidate,
	bytes: Bytes,
	pressing: boolean,
): boolean {
	const room = pressing ? window * PRESSING_WINDOW : window;
	return inFlight === 0 || inFlight + bytes <= room;
}

/** Whether a neighbour cannot be counted on for a block that a viewer needs so soon. Fill takes its time. */
export function isTooSlow(
	candidate: SourceCandidate | undefined,
	bytes: Bytes,
	slack: Millis,
): boolean {
	if (candidate === undefined) return true;
	const { roundTrip } = candidate;
	const patience = Math.max(0, slack) + VIEWER_PATIENCE.holder;
	return roundTrip + takes(candidate, bytes) > patience;
}

function takes(candidate: SourceCandidate, bytes: Bytes): Millis {
	return (bytes / rateOf(candidate)) * SECOND;
}

function rateOf({ throughput }: SourceCandidate): Rate {
	return throughput === 0 ? UNPROVEN : throughput;
}

/** A box before this one in rank that is there gets so many times longer to bring the shard. */
const TRUST_IN_THE_LIVING = 12;

/**
 * How long each rank of a placed shard leaves it to those before: rank 0 asks the origin at once, rank r after r times `takeover`
 * in which no neighbour had any of it. One after the other, so a dead rank 0 causes no stampede.
 * @param isAwaited whether a box before this one in rank is connected: it has its hands full, but it is not dead
 */
export function originPatience(
	rank: number,
	takeover: Millis,
	isAwaited: boolean,
): Millis {
	return rank * takeover * (isAwaited ? TRUST_IN_THE_LIVING : 1);
}

/** How patient a viewer's blocks are. */
export interface ViewerPatience {
	/** For holders to be found and dialled, before the origin is asked. */
	readonly dial: Millis;
	/** For neighbours that hold a block but are busy or slow, before the origin is asked. */
	readonly holder: Millis;
	/** For a block that is next and that somebody was asked for, before somebody else is asked too. */
	readonly rescue: Millis;
	/** Without a block of the title, before a viewer is told that it cannot be had. */
	readonly giveUp: Millis;
}

export const VIEWER_PATIENCE: ViewerPatience = {
	dial: 400,
	holder: 1_500,
	rescue: 600,
	giveUp: 20 * SECOND,
};

/** So much of what viewers want is next: it is asked for twice rather than waited for too long. */
export const NEXT: Bytes = 256 * KiB;

/** A request that is to bring a block, and has not. */
export interface Errand {
	/** For so long. */
	readonly age: Millis;
	/** How long it was likely to take. */
	readonly takes: Millis;
	/** Whether whoever was asked does it before what nobody waits for. */
	readonly urgent: boolean;
}

/**
 * With `urgency` it is asked for anew, as what a viewer waits for: until then it came behind all of that, and so perhaps never. With
 * `another`, somebody else is asked, too; with `surest` the origin, or yet another neighbour where that fails or was asked. With
 * `nobody` it is looked at again after a wait.
 */
export interface Rescue {
	readonly by: "urgency" | "another" | "surest" | "nobody";
	readonly wait?: Millis;
}

/** What was asked for in vain is at risk so long before its time: it can still come from who answers at once. */
const AT_RISK: Millis = SECOND;
/** So many may be asked for one block: of more, each takes from others what they wait for. */
const MOST_ERRANDS = 4;

/**
 * What is done about a viewer's block that was asked for and does not come. Whoever was asked is waited for as long as he was likely
 * to take, but neither less than the one nor more than the other patience. What is next is asked for twice; what is at risk
 * comes from whoever is surest, though two were asked: they may all have died.
 * @param errands at least one
 */
export function rescueOf(
	errands: readonly Errand[],
	{ isNext, slack }: { readonly isNext: boolean; readonly slack: Millis },
	{ rescue, holder }: Pick<ViewerPatience, "rescue" | "holder">,
): Rescue {
	const left = errands.map(
		({ age, takes }) => Math.max(rescue, Math.min(takes, holder)) - age,
	);
	const wait = Math.max(...left);
	if (wait > 0) return { by: "nobody", wait };
	const urgent = errands.some((errand) => errand.urgent);
	if (!urgent && isPressing(slack)) return { by: "urgency" };
	if (isNext && errands.length === 1) return { by: "another" };
	if (errands.length >= MOST_ERRANDS) return { by: "nobody", wait: rescue };
	if (slack <= AT_RISK) return { by: "surest" };
	return { by: "nobody", wait: slack - (urgent ? AT_RISK : PRESSING) };
}

/** What neighbours hold is left to them until so long before its time: the origin answers sooner, and they may still give it. */
const HELD: Millis = 2 * SECOND;

/** How it stands with a block that a viewer wants. */
export interface Standing {
	/** Whether a neighbour has it that can be counted on. */
	readonly held: boolean;
	/** How long it has been wanted without coming nearer; since its holders have been looked for, when nobody has it. */
	readonly waited: Millis;
	/** Until it is this box's turn to fetch what nobody has; 0 or less when it is. */
	readonly turn: Millis;
	/** Until the viewer needs it. */
	readonly slack: Millis;
}

/**
 * In how long a viewer's block may come over the trunk. What neighbours hold is left to them until its deadline is at risk; what
 * nobody holds comes once its holders have been looked for, and others have had their turn as far as the deadline allows.
 */
export function viewerOriginIn(
	{ dial, holder }: Pick<ViewerPatience, "dial" | "holder">,
	{ held, waited, turn, slack }: Standing,
): Millis {
	if (!held) return Math.max(dial - waited, Math.min(turn, slack - PRESSING));
	// Where a film begins all is late, and a little is waited; once it runs, nothing is to be late.
	const runs = slack + waited > 0;
	const left = holder - waited;
	return Math.max(runs ? Math.min(left, slack - AT_RISK) : left, slack - HELD);
}

/**
 * A shard that neighbours say they have and do not give is left to them for so long by each rank, one after the other: households
 * are busy for an evening, and one who lies must not keep a shard from a box for ever.
 */
export const WITHHELD: Millis = 30 * MINUTE;

/** Fill does not go past neighbours that hold a block, unless nothing at all has come for so long. */
export const FILL_PATIENCE: Millis = 30 * SECOND;
