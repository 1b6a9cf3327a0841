import { SECOND } from "../base/time.ts";
import { KiB, type Millis, type Rate } from "../base/units.ts";

/** RFC 6817 wants 100 ms at most. A call is good with half of that, and probes of a busy receiver come 10 to 20 ms late by themselves. */
export const TARGET: Millis = 60;
/** Far above it the queue is long: it takes more than a little less to empty it. */
const FAR: Millis = 4 * TARGET;
/** What is left of the rate then, and just above the target. TCP halves, too, and so does who has given less already to no avail. */
const HALF = 0.5;
const LESS = 0.8;
/** How often the queue is looked at, and while it is tried what the uplink carries: three late probes in a row show that it fills. */
const USUAL: Millis = 0.25 * SECOND;
const TRYING: Millis = 0.05 * SECOND;
/** A change shows in the probes after so long: three of them at four a second. */
const SETTLE: Millis = 0.75 * SECOND;
/** With the queue empty the rate doubles in so long: gradual to a household, quick to a film that begins. */
const DOUBLING: Millis = 2 * SECOND;
/** Near what the uplink was last found to carry, below and above, it creeps: the queue fills as slowly, and little is in it at a stop. */
const NEAR = 0.85;
const CREEPING: Millis = 30 * SECOND;
/** A rate is used, and may be too low, when so much of it was given of late. */
const USED = 0.85;
/** As long as nothing is known of the uplink it doubles faster. */
const FIRST_DOUBLING: Millis = SECOND;
/** What is tried first. Before it shows that it is too much no more is queued than goes out in half a second, down to uplinks of 1 Mbit/s. */
export const FIRST: Rate = 156_250;
/** While probes say that it is carried it doubles in so long, used or not, until it is what most uplinks carry: 5 Mbit/s. */
const SOUNDING: Millis = 0.4 * SECOND;
export const COMMON: Rate = 625_000;
/** Who can send so much has no queue worth watching: 1 Gbit/s. */
const FREE: Rate = 125e6;
/** What neighbours take no more of than this part is nothing to hurry for. */
const LIGHT = 1 / 4;
/** Less is given to nobody: the smallest chunk each eighth of a second. */
export const FLOOR: Rate = 32 * KiB;
/** So little of what the uplink carries fills no queue. When one stays filled for so long all the same, it is the household's own. */
const LITTLE = 1 / 8;
const PATIENCE: Millis = 1.5 * SECOND;
/** Then nothing is given until the queue was empty for so long. */
const CALM: Millis = 5 * SECOND;
/** After so long in which nothing was wanted what was given before is no measure: ways change. TCP forgets, too (RFC 2861, RFC 7661). */
const REST: Millis = 10 * SECOND;
/** When it has not been known for so long how packets wait, what is configured has to do. */
const BLIND: Millis = 3 * SECOND;

export interface UplinkView {
	readonly now: Millis;
	/** How long packets wait at the uplink; undefined when no node answers. */
	readonly delay: Millis | undefined;
	/** Bytes a second that were given of late. */
	readonly given: Rate;
}

/**
 * How much this box may give without filling the queue of the household's uplink, in the manner of LEDBAT (RFC 6817): less when packets
 * wait there, more again when they do not, and nothing when they wait though next to nothing is given. A rate of Infinity is no limit.
 */
export interface Uplink {
	/** What may be given at most; 0 while the household fills the queue itself. */
	readonly rate: Rate;
	/** What was given when the queue was last seen to fill; Infinity when it never was. */
	readonly carries: Rate;
	/** When the rate was last looked at, and last changed downwards. */
	readonly at: Millis;
	readonly cutAt: Millis;
	/** What it was changed to then. */
	readonly cutTo: Rate;
	/** Since when the queue has been full with next to nothing given, or empty with nothing given. */
	readonly since: Millis | undefined;
	/** Since when no node has answered. */
	readonly blindSince: Millis | undefined;
	/** The rate that is tried once the queue is empty again; 0 while nothing is held back. */
	readonly held: Rate;
}

export function firstUplink(now: Millis): Uplink {
	return {
		...{ rate: FIRST, carries: Number.POSITIVE_INFINITY, at: now },
		...{ cutAt: Number.NEGATIVE_INFINITY, cutTo: 0 },
		...{ since: undefined, blindSince: undefined, held: 0 },
	};
}

/** How long until the queue is to be looked at again: not long while more is given than the uplink is known to carry. */
export function nextLook(uplink: Uplink, given: Rate): Millis {
	const { rate, carries } = uplink;
	if (isSounding(uplink)) return TRYING;
	const isKnown = Number.isFinite(carries) && NEAR * rate <= carries;
	if (isKnown || !Number.isFinite(rate)) return USUAL;
	return given >= LIGHT * rate ? TRYING : USUAL;
}

/** Looks at the queue once more; as often as `nextLook` says while anything is given. */
export function steer(last: Uplink, view: UplinkView): Uplink {
	const { now, delay } = view;
	const before = now - last.at >= REST ? rested(last) : last;
	// What passed while nothing was given is no time in which the queue was seen to be empty.
	const span = Math.min(now - before.at, SETTLE);
	if (delay === undefined) {
		const blindSince = before.blindSince ?? now;
		const isBlind = now - blindSince >= BLIND;
		const next = { ...before, at: now, blindSince, since: undefined };
		if (!isBlind) return next;
		// It may be that the queue is so long that no answer comes in time.
		return before.rate === 0
			? { ...next, rate: FLOOR, blindSince: now }
			: { ...next, rate: Number.POSITIVE_INFINITY };
	}
	const next = { ...before, at: now, blindSince: undefined };
	if (before.rate === 0) return resume(next, delay, now);
	if (delay > TARGET) return cut(next, delay, view);
	const calm = { ...next, since: undefined };
	if (delay > TARGET / 2) return calm;
	const { held } = calm;
	return held > 0
		? { ...calm, rate: held, held: 0 }
		: grow(calm, view.given, span);
}

/** It is sounded again, up to what little it was found to carry. */
function rested(before: Uplink): Uplink {
	if (before.rate <= FIRST) return before;
	const { carries } = before;
	const known = carries <= COMMON ? carries : Number.POSITIVE_INFINITY;
	return { ...firstUplink(before.at), carries: known };
}

function cut(
	before: Uplink,
	delay: Millis,
	{ now, given }: UplinkView,
): Uplink {
	const isKnown = Number.isFinite(before.carries);
	const little = isKnown ? LITTLE * before.carries : 0;
	if (before.rate <= Math.max(FLOOR, little)) {
		const since = before.since ?? now;
		const isOthers = now - since >= PATIENCE;
		return isOthers
			? { ...before, rate: 0, since: undefined, held: 0 }
			: { ...before, since };
	}
	if (!isKnown || isSounding(before))
		return stop(before, delay, { now, given });
	if (now - before.cutAt < SETTLE) return before;
	const used = Math.min(before.rate, Math.max(given, FLOOR));
	// Cuts that follow one upon another empty the queue, and say nothing of what the uplink carries.
	const isFirst = before.rate > before.cutTo;
	const left = isFirst && delay <= FAR ? LESS : HALF;
	const rate = Math.max(FLOOR, used * left);
	const carries = isFirst ? used : before.carries;
	return { ...before, rate, carries, cutAt: now, cutTo: rate };
}

/** More was tried than the uplink carries: first the queue gets empty. What it does carry shows once all of a rate was used. */
function stop(
	before: Uplink,
	delay: Millis,
	{ now, given }: Omit<UplinkView, "delay">,
): Uplink {
	// Of a rate far above what was given, no more than that was tried.
	const tried = before.rate * LIGHT < given ? before.rate : given;
	const isUsed = given >= tried * USED;
	const left = isUsed && delay <= FAR ? LESS : HALF;
	return {
		...before,
		...{ rate: FLOOR, held: Math.max(FLOOR, tried * left) },
		...{ cutAt: now, cutTo: FLOOR },
		carries: isUsed ? Math.min(tried, given) : Number.POSITIVE_INFINITY,
	};
}

/** Only what is used can be found to be too little. */
function grow(before: Uplink, given: Rate, span: Millis): Uplink {
	const { rate, carries } = before;
	if (isSounding(before))
		return {
			...before,
			rate: Math.min(soundedTo(before), rate * 2 ** (span / SOUNDING)),
		};
	if (given < rate * USED) return before;
	const doubling = Number.isFinite(carries) ? DOUBLING : FIRST_DOUBLING;
	const isNear = rate >= NEAR * carries && NEAR * rate <= carries;
	const more = rate * 2 ** (span / (isNear ? CREEPING : doubling));
	return { ...before, rate: more < FREE ? more : Number.POSITIVE_INFINITY };
}

function resume(before: Uplink, delay: Millis, now: Millis): Uplink {
	if (delay > TARGET / 2) return { ...before, since: undefined };
	const since = before.since ?? now;
	if (now - since < CALM) return { ...before, since };
	return { ...before, rate: FLOOR, since: undefined };
}

function isSounding(uplink: Uplink): boolean {
	const { rate, cutAt } = uplink;
	return rate < soundedTo(uplink) && cutAt === Number.NEGATIVE_INFINITY;
}

function soundedTo({ carries }: Uplink): Rate {
	return Math.min(COMMON, NEAR * carries);
}
