import { MINUTE, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** The shortest round trip counts for so many minutes with probes: routes change. RFC 6817 calls it BASE_HISTORY. */
const HISTORY = 10;
/** So many probes in a row have to be late before the queue is long: one can be lost, or its answer lie in a busy process. */
const LATEST = 3;
/** One that is not answered counts once it is so much later than the shortest. */
const LATE: Millis = 50;
/**
 * Without an answer for so long there is no telling: a queue that holds more than that is rarer than a node that is gone, and one
 * silent node must not keep a region from giving.
 */
export const SILENT: Millis = 5 * SECOND;

/** What was asked longer ago says nothing of the queue now. */
export const RECENT: Millis = 8 * SECOND;

/** One question to a node beyond the access link; without `trip` while the answer is not there. */
export interface Probe {
	readonly asked: Millis;
	readonly trip: Millis | undefined;
}

/** The shortest round trips of the last minutes, newest last. */
export type Base = readonly {
	readonly minute: number;
	readonly trip: Millis;
}[];

/** Takes an answer into account. Source: RFC 6817, section 3.4.2, update_base_delay. */
export function learn(base: Base, trip: Millis, now: Millis): Base {
	const minute = Math.floor(now / MINUTE);
	const last = base.at(-1);
	const least = last?.minute === minute ? Math.min(last.trip, trip) : trip;
	const others = base.filter((each) => each.minute !== minute);
	return [...others.slice(1 - HISTORY), { minute, trip: least }];
}

/** Whether no packet waits at the uplink, to judge by a node of the region that took so long to answer. */
export function isFree(base: Base, trip: Millis): boolean {
	return trip <= leastOf(base) + LATE;
}

/**
 * How long a packet waits at the uplink: the least of the latest round trips to a node beyond it, less the shortest one known.
 * (RFC 6817 measures one way; the node tells no time, so that a full downlink counts, too.) Undefined when nothing is known.
 * @param probes oldest first
 * @param heardAt when an answer came last
 */
export function delayOf(
	base: Base,
	probes: readonly Probe[],
	heardAt: Millis,
	now: Millis,
): Millis | undefined {
	const owed = probes.find(({ trip }) => trip === undefined)?.asked ?? now;
	if (base.length === 0 || now - Math.max(owed, heardAt) > SILENT)
		return undefined;
	const least = leastOf(base);
	const trips: Millis[] = [];
	let usual = least + LATE;
	for (const { asked, trip } of probes) {
		if (now - asked >= RECENT) continue;
		const taken = trip ?? now - asked;
		// One that is on its way no longer than the last answered one was says nothing yet.
		if (trip !== undefined) usual = Math.max(least + LATE, trip);
		else if (taken <= usual) continue;
		trips.push(taken);
	}
	if (trips.length === 0) return undefined;
	return Math.max(0, Math.min(...trips.slice(-LATEST)) - least);
}

/** The shortest of the last minutes; Infinity before there is one. */
export function leastOf(base: Base): Millis {
	return Math.min(...base.map(({ trip }) => trip));
}
