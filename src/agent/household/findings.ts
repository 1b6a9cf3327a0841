import { formatBytes, type Limit, type Millis } from "../../base/units.ts";
import type { FillLeave } from "../../plan/hours.ts";
import { type Reason, WORDS } from "../../plan/household.ts";
import type { Check, HouseholdStatus } from "../../wire/ipc.ts";
import { finding } from "../finding.ts";
import type { Household } from "./household.ts";
import { isNear } from "./near.ts";
import type { Probes } from "./probes.ts";

/** What a person can do about it; nothing where it passes by itself. */
const REMEDIES: Partial<Record<Reason, string>> = {
	"opted-out": "`larder opt-in` has the box take part again.",
	draining:
		"It takes no part once all is handed on; `larder opt-in` ends that.",
	paused: "`larder resume` ends it.",
	pressure:
		"See what keeps the receiver busy, or raise household.pressure in larder.toml.",
};

const CLOSED = {
	hours: "not at this hour",
	standby: "not in standby",
	"time-unknown": "the time is not known yet",
} as const satisfies Record<NonNullable<FillLeave["closed"]>, string>;

export interface HouseholdParts {
	readonly household: Pick<Household, "status" | "insight">;
	readonly hours: { readonly leave: FillLeave };
	readonly probes: Pick<Probes, "find">;
}

/** What holds this box back from giving and filling, and whether it would notice that its household needs the line. */
export async function checkHousehold({
	household,
	hours,
	probes,
}: HouseholdParts): Promise<Check[]> {
	const { status, insight } = household;
	return [
		checkGiving(status, insight),
		checkFilling(status, hours.leave, insight),
		await checkProbes(probes),
	];
}

type Insight = Household["insight"];

function checkGiving(status: HouseholdStatus, insight: Insight): Check {
	const { give, limits } = status;
	const why = status.why as Reason | undefined;
	const carries =
		insight.carries === undefined
			? "what the uplink carries is not found out yet"
			: `the uplink was found to carry ${limitOf(insight.carries)}`;
	const reason =
		why === undefined ? [] : [`${WORDS[why]}${since(status, why, insight)}`];
	const isBarred = give === "none" && limits.up === "none";
	return finding(
		"giving",
		isBarred || (why !== undefined && why in REMEDIES) ? "warn" : "ok",
		[`neighbours get ${limitOf(give)}`, ...reason, carries].join("; "),
		isBarred
			? "`larder limits --up` sets another limit, within the operator's."
			: why && REMEDIES[why],
	);
}

/** Until when, or who said so when. */
function since(
	{ paused }: HouseholdStatus,
	why: Reason,
	{ toldAgo }: Insight,
): string {
	if (why === "paused" && paused !== undefined)
		return paused === null ? " until it is resumed" : ` for ${span(paused)}`;
	if (why !== "live" && why !== "recording") return "";
	return `, as the receiver's user interface told ${span(toldAgo)} ago`;
}

function checkFilling(
	status: HouseholdStatus,
	{ closed, until }: FillLeave,
	{ pressed }: Insight,
): Check {
	const waits = status.waits as Reason | undefined;
	const machine = `work waits ${Math.round(pressed)} % of the time`;
	if (waits !== undefined)
		return finding(
			"filling",
			waits in REMEDIES ? "warn" : "ok",
			`nothing is filled: ${WORDS[waits]}; ${machine}`,
			REMEDIES[waits],
		);
	const then =
		until === undefined ? "" : `, until ${new Date(until).toISOString()}`;
	return finding(
		"filling",
		closed === "time-unknown" ? "warn" : "ok",
		closed === undefined
			? `nothing holds it back; ${machine}`
			: `nothing is filled: ${CLOSED[closed]}${then}`,
		"The headend says the time over the broker; see what keeps the box from it.",
	);
}

/** Without an answer from beyond the access link nobody notices that the household fills it. */
async function checkProbes({ find }: Pick<Probes, "find">): Promise<Check> {
	const name = "uplink";
	const found = await find();
	if (found === undefined)
		return finding(
			name,
			"warn",
			"no operator node answers the probes of the uplink: when the household fills it, that is not noticed",
			"Check that UDP reaches swarm.bootstrap. Until it does, have the receiver tell `larder activity`, or set rates.up below what the uplink carries.",
		);
	const [host = ""] = found.node.split(":");
	const near = isNear(host)
		? ", which lies on this box's own network: it shows nothing of an uplink"
		: "";
	return finding(
		name,
		"ok",
		`probes are answered by ${found.node} in ${Math.round(found.trip)} ms${near}`,
	);
}

function limitOf(limit: Limit): string {
	if (limit === "none") return "nothing";
	return limit === 0 ? "no limit" : `${formatBytes(Math.round(limit))}/s`;
}

/** `12 min`: a person needs no more. */
function span(of: Millis): string {
	const minutes = Math.round(of / 60_000);
	return minutes < 1 ? "less than a minute" : `${minutes} min`;
}
