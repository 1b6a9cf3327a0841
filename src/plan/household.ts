import { HOUR, MINUTE, SECOND } from "../base/time.ts";
import { KiB, type Limit, type Millis, type Rate } from "../base/units.ts";
import type { Activity } from "../wire/ipc.ts";
import type { Part } from "../wire/reports.ts";

/**
 * What the receiver's user interface tells lasts for so long unless it is told again: one that crashed does not keep the box from
 * giving for ever. EU 2023/826 has receivers go to standby after four hours in which nobody touched them.
 */
const TOLD: Millis = 4 * HOUR;
/** A player that stutters has the line to itself for so long: several times what players buffer. */
const UNDERRUN: Millis = MINUTE;
/** Nothing changes back sooner: who zaps through channels is not to move the neighbours' viewers to and fro. */
const HOLD: Millis = 10 * SECOND;
/** Then it begins with so little, and doubles: a household that starts again is noticed before its uplink is full. */
const FIRST: Rate = 64 * KiB;
const DOUBLING: Millis = 2 * SECOND;
/** An own stream from the origin; less is a block now and then that no neighbour had. */
const STREAM: Rate = 64 * KiB;

export interface HouseholdView {
	readonly now: Millis;
	readonly part: Part;
	/** Whether somebody has said that Larder is to rest. */
	readonly isPaused: boolean;
	/** What the user interface told last, and when. */
	readonly told: { readonly activity: Activity; readonly at: Millis };
	/** When a player stuttered last. */
	readonly underrunAt: Millis;
	/** Bytes a second that the household's own players get from the origin. */
	readonly stream: Rate;
	/** What may be given without filling the uplink's queue: 0 while the household fills it, Infinity when nothing says there is a limit. */
	readonly uplink: Rate;
	/** Whether the machine has more to do than it can. */
	readonly isPressed: boolean;
	/** What may be given in all, and while the household is active. */
	readonly up: Limit;
	readonly upActive: Limit;
}

/** Why less is given or filled than might be. */
export type Reason =
	| "opted-out"
	| "draining"
	| "paused"
	| "live"
	| "recording"
	| "underrun"
	| "uplink"
	| "stream"
	| "pressure"
	| "returning";

/** What that means to a person. */
export const WORDS: Readonly<Record<Reason, string>> = {
	"opted-out": "this household does not take part",
	draining: "what it has is being handed on",
	paused: "it is paused",
	live: "the household watches TV",
	recording: "the household records",
	underrun: "a player stuttered a moment ago",
	uplink: "the uplink carries no more",
	stream: "the household watches from the origin",
	pressure: "the receiver has other work",
	returning: "it comes back gradually",
};

export interface Verdict {
	/** What neighbours are given at most, in all. */
	readonly give: Limit;
	/** Why that is less than is configured. */
	readonly why: Reason | undefined;
	/** Why nothing is filled; undefined while it may be. */
	readonly waits: Reason | undefined;
	/** Since when the household has let it give; what the next look needs to know. */
	readonly quietSince: Millis;
}

/** The household comes first: what may be given and filled now. @param quietSince of the last verdict; -Infinity at the start */
export function judge(quietSince: Millis, view: HouseholdView): Verdict {
	const { now, up, upActive, uplink } = view;
	const need = needOf(view);
	if (need !== undefined) {
		const isBarred = need !== "live" && need !== "recording";
		const give = isBarred ? "none" : stricter(up, upActive);
		return bounded(view, give, need, need, now);
	}
	const quiet = now - quietSince;
	if (quiet < HOLD) {
		const give = stricter(up, upActive);
		return bounded(view, give, "returning", "returning", quietSince);
	}
	const ramp = FIRST * 2 ** ((quiet - HOLD) / DOUBLING);
	const isStreaming = view.stream >= STREAM;
	const returned = stricter(up, limitOf(ramp));
	// Neighbours who watch the same from the origin would else give each other nothing, and each of them take all of it over the trunk.
	const streams = isStreaming && upActive !== "none";
	const give = streams ? stricter(returned, upActive) : returned;
	const why = streams ? "stream" : returned !== up ? "returning" : undefined;
	return bounded(view, give, why, waitsFor(view, uplink), quietSince);
}

/** The stricter of two limits. */
export function stricter(a: Limit, b: Limit): Limit {
	if (a === "none" || b === "none") return "none";
	return a === 0 || b === 0 ? a + b : Math.min(a, b);
}

/** Why the household needs the line for itself. */
function needOf(view: HouseholdView): Reason | undefined {
	const { now, part, told, underrunAt } = view;
	if (part === "out") return "opted-out";
	if (view.isPaused) return "paused";
	const isActive = told.activity !== "idle" && now - told.at < TOLD;
	if (now - underrunAt < UNDERRUN) return "underrun";
	return isActive ? told.activity : undefined;
}

function waitsFor(view: HouseholdView, uplink: Rate): Reason | undefined {
	if (view.part === "draining") return "draining";
	if (uplink === 0) return "uplink";
	return view.isPressed ? "pressure" : undefined;
}

/** What the uplink carries is never gone beyond. */
function bounded(
	{ uplink }: HouseholdView,
	give: Limit,
	why: Reason | undefined,
	waits: Reason | undefined,
	quietSince: Millis,
): Verdict {
	const both = stricter(give, limitOf(uplink));
	return { give: both, why: both === give ? why : "uplink", waits, quietSince };
}

/** Of a rate that may be none at all or without end. */
function limitOf(rate: Rate): Limit {
	if (rate === 0) return "none";
	return Number.isFinite(rate) ? Math.max(1, Math.floor(rate)) : 0;
}
