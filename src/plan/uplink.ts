import { SECOND } from "../base/time.ts";
import { KiB, type Millis, type Rate } from "../base/units.ts";

/** RFC 6817 wants 100 ms at most. A call is good with half of that, and probes of a busy receiver come 10 to 20 ms late by themselves. */
export const TARGET: Millis = 60;
/** Far above it the queue is long: it takes more than a little less to empty it. */
const FAR: Millis = 4 * TARGET;
/** What is left of the rate then, and just above the target. TCP halves, too, and so does who has given less already to no avail. */
const HALF = 0.5;
const LESS = 0.8;
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
/** What is tried first: 5 Mbit/s, which most uplinks carry. */
export const FIRST: Rate = 625_000;
/** Who can send so much has no queue worth watching: 1 Gbit/s. */
const FREE: Rate = 125e6;
/** Less is given to nobody: the smallest chunk each eighth of a second. */
export const FLOOR: Rate = 32 * KiB;
/** So little of what the uplink carries fills no queue. When one stays filled for so long all the same, it is the household's own. */
const LITTLE = 1 / 8;
const PATIENCE: Millis = 1.5 * SECOND;
/** Then nothing is given until the queue was empty for so long. */
const CALM: Millis = 5 * SECOND;
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
}

export function firstUplink(now: Millis): Uplink {
	return {
		...{ rate: FIRST, carries: Number.POSITIVE_INFINITY, at: now },
		...{ cutAt: Number.NEGATIVE_INFINITY, cutTo: 0 },
		...{ since: undefined, blindSince: undefined },
	};
}

/** Looks at the queue once more; a few times a second while anything is given. */
export function steer(before: Uplink, view: UplinkView): Uplink {
	const { now, delay } = view;
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
	return delay > TARGET / 2 ? calm : grow(calm, view.given, span);
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
			? { ...before, rate: 0, since: undefined }
			: { ...before, since };
	}
	if (now - before.cutAt < SETTLE) return before;
	const used = Math.min(before.rate, Math.max(given, FLOOR));
	// Cuts that follow one upon another empty the queue, and say nothing of what the uplink carries.
	const isFirst = before.rate > before.cutTo;
	const left = isFirst && delay <= FAR ? LESS : HALF;
	const rate = Math.max(FLOOR, used * left);
	const carries = isFirst ? used : before.carries;
	return { ...before, rate, carries, cutAt: now, cutTo: rate };
}

/** Only what is used can be found to be too little. */
function grow(before: Uplink, given: Rate, span: Millis): Uplink {
	const { rate, carries } = before;
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
