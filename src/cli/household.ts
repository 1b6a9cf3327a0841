import { setTimeout as wait } from "node:timers/promises";
import { SECOND } from "../base/time.ts";
import { formatBytes, type Limit } from "../base/units.ts";
import { type Reason, WORDS } from "../plan/household.ts";
import {
	type HouseholdStatus,
	household,
	type IpcMethod,
	status,
} from "../wire/ipc.ts";
import { ask } from "./ask.ts";
import { formatSpan, print, printJson, table } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** How often it is looked how far the draining is. */
const ROUND = SECOND;

export interface HouseholdOptions {
	readonly socket: string;
	readonly json: boolean;
}

/** Tells the agent something of the household, and prints how it stands then. */
export async function tellHousehold(
	{ socket, json }: HouseholdOptions,
	method: IpcMethod,
	params?: unknown,
): Promise<HouseholdStatus> {
	const { raw, value } = await ask(socket, method, household, { params });
	if (json) printJson(raw);
	else print(table(householdRows(value)).join("\n"));
	return value;
}

/** Begins to drain the box and shows how far it is, until it takes no part any more. */
export async function drainHousehold(options: HouseholdOptions): Promise<void> {
	const { socket } = options;
	let { value } = await ask(socket, "drain", household);
	const bar = new ProgressBar();
	let most = 0;
	while (value.part === "draining") {
		const now = await ask(socket, "status", status);
		const { placed } = now.value.store.shards;
		most = Math.max(most, placed);
		bar.count("handed on", most - placed, most);
		value = now.value.household ?? value;
		if (value.part === "draining") await wait(ROUND);
	}
	bar.clear();
	if (options.json) printJson(value);
	else print(table(householdRows(value)).join("\n"));
}

/** How the household stands, for a person. */
export function householdRows(now: HouseholdStatus): [string, string][] {
	return [
		["gives", because(limitOf(now.give), now.why)],
		["fills", now.waits === undefined ? "yes" : because("not now", now.waits)],
		[
			"household",
			`${limitOf(now.limits.up)} up, ${limitOf(now.limits.upActive)} while it is active`,
		],
		...paused(now),
	];
}

function paused({ paused: left }: HouseholdStatus): [string, string][] {
	if (left === undefined) return [];
	const span =
		left === null ? "until it is resumed" : `for ${formatSpan(left)}`;
	return [["paused", span]];
}

function because(what: string, why: string | undefined): string {
	if (why === undefined) return what;
	// A newer agent may have more of them.
	return `${what}: ${Object.hasOwn(WORDS, why) ? WORDS[why as Reason] : why}`;
}

function limitOf(limit: Limit): string {
	if (limit === "none") return "nothing";
	return limit === 0 ? "no limit" : `${formatBytes(limit)}/s`;
}
