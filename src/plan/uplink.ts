import { SECOND } from "../base/time.ts";
import { KiB, type Millis, type Rate } from "../base/units.ts";

/** RFC 6817 wants 100 ms at most. A call is good with half of that, and probes of a busy receiver come 10 to 20 ms late by themselves. */
export const TARGET: Millis = 60;
/** Far above it the queue is long: it takes more than a little less to empty it. */
const FAR: Millis = 4 * TARGET;
/** What is left of the rate then, and just above the target. TCP halves, too. */
const HALF = 0.5;
const LESS = 0.8;
/** A change shows in the probes after so long: three of them at four a second. */
const SETTLE: Millis = 0.75 * SECOND;
/** With the queue empty the rate doubles in so long: gradual to a household, quick to a film that begins. */
const DOUBLING: Millis = 2 * SECOND;
/** As long as nothing is known of the uplink it doubles faster. */
const FIRST_DOUBLING: Millis = 0.5 * SECOND;
/** What is tried first: 10 Mbit/s fills a queue of 1 MiB in no less than a second. */
export const FIRST: Rate = 1.25e6;
/** Who can send so much has no queue worth watching: 1 Gbit/s. */
const FREE: Rate = 125e6;
/** Less is given to nobody: the smallest chunk each eighth of a second. */
export const FLOOR: Rate = 32 * KiB;
/** Giving so little fills no queue. When one stays filled for so long all the same, it is the household's own. */
const PATIENCE: Millis = 2 * SECOND;
/** Then nothing is given until the queue was empty for so long. */
const CALM: Millis = 5 * SECOND;
/** Nodes that have not answered for so long will not: what is configured has to do. */
const BLIND: Millis = 15 * SECOND;

export interface UplinkView {
	readonly now: Millis;
	/** How long packets wait at the uplink; undefined when no node answers. */
	readonly delay: Millis | undefined;
	/** Bytes a second that were given of late. */
	readonly given: Rate;
}

/**
 * How much this box may give without filling the queue of the household's uplink, in the manner of LEDBAT (RFC 6817): less when packets
 * wait there, more again when they do not, and nothing when they wait though next to nothing is given. Rates may be Infinity: then nothing says that there is a limit. */
export interface Uplink {
	/** What may be given at most; 0 while the household fills the queue itself. */
	readonly rate: Rate;
	/** Whether the queue was ever seen to fill: the rate is near what the uplink carries. */
	readonly known: boolean;
	/** When the rate was last looked at, and last changed downwards. */
	readonly at: Millis;
	readonly cutAt: Millis;
	/** Since when the queue has been full with next to nothing given, or empty with nothing given. */
	readonly since: Millis | undefined;
	/** Since when no node has answered. */
	readonly blindSince: Millis | undefined;
}

export function firstUplink(now: Millis): Uplink {
	return {
		...{ rate: FIRST, known: false, at: now, cutAt: Number.NEGATIVE_INFINITY },
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
		const rate = isBlind ? Number.POSITIVE_INFINITY : before.rate;
		return { ...before, at: now, rate, blindSince, since: undefined };
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
	const next = { ...before, known: true };
	if (before.rate <= FLOOR) {
		const since = before.since ?? now;
		const isOthers = now - since >= PATIENCE;
		return isOthers
			? { ...next, rate: 0, since: undefined }
			: { ...next, since };
	}
	if (now - before.cutAt < SETTLE) return next;
	const used = Math.min(before.rate, Math.max(given, FLOOR));
	const rate = Math.max(FLOOR, used * (delay > FAR ? HALF : LESS));
	return { ...next, rate, cutAt: now };
}

/** Only what is used can be found to be too little. */
function grow(before: Uplink, given: Rate, span: Millis): Uplink {
	const { rate, known } = before;
	if (given < rate / 2) return before;
	const more = rate * 2 ** (span / (known ? DOUBLING : FIRST_DOUBLING));
	return { ...before, rate: more < FREE ? more : Number.POSITIVE_INFINITY };
}

function resume(before: Uplink, delay: Millis, now: Millis): Uplink {
	if (delay > TARGET / 2) return { ...before, since: undefined };
	const since = before.since ?? now;
	if (now - since < CALM) return { ...before, since };
	return { ...before, rate: FLOOR, since: undefined };
}
