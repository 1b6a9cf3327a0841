import { bad, good, type Result } from "../base/result.ts";
import { parseRate } from "../base/units.ts";
import {
	type Allowance,
	DAYS,
	type FillWindow,
	HOURS,
	WEEKDAYS,
} from "../wire/hours.ts";

/** The zones that are known here are those that `Intl` takes. */
export function isZone(zone: string): boolean {
	try {
		new Intl.DateTimeFormat("en", { timeZone: zone });
		return true;
	} catch {
		return false;
	}
}

const KEYS = ["days", "hours", "trunk", "neighbours", "up", "standby"];
export const TAKES_WINDOWS =
	'takes windows like { days = "mon-fri", hours = "1-6", trunk = "20 Mbit/s", neighbours = "50 Mbit/s", up = "5 Mbit/s", standby = true }, all of which may be left out';

const TAKES_ALLOWANCE =
	'takes "20 Mbit/s" or the like, "0" for no limit, or "none"';

/** Reads windows as they stand in a configuration. `detail` of a fault says what is wrong with which. */
export function readWindows(value: unknown): Result<FillWindow[]> {
	if (!Array.isArray(value)) return bad("bad-value", TAKES_WINDOWS);
	const windows: FillWindow[] = [];
	for (const [index, item] of value.entries()) {
		const read = readWindow(item);
		if (!read.ok)
			return bad("bad-value", `window ${index + 1}: ${read.detail}`);
		windows.push(read.value);
	}
	return good(windows);
}

function readWindow(item: unknown): Result<FillWindow> {
	if (typeof item !== "object" || item === null)
		return bad("bad-value", TAKES_WINDOWS);
	const given = new Map<string, unknown>(Object.entries(item));
	const odd = [...given.keys()].find((key) => !KEYS.includes(key));
	if (odd !== undefined)
		return bad("bad-value", `${odd} is none of ${KEYS.join(", ")}`);
	const days = daysOf(given.get("days") ?? "mon-sun");
	if (days === undefined)
		return bad("bad-value", 'days takes "mon-fri", "sat,sun" or the like');
	const hours = hoursOf(given.get("hours") ?? "0-24");
	if (hours === undefined)
		return bad("bad-value", 'hours takes "1-6", "22-6" or the like');
	const trunk = allowanceOf(given.get("trunk") ?? "0");
	if (trunk === undefined) return bad("bad-value", `trunk ${TAKES_ALLOWANCE}`);
	const neighbours = allowanceOf(given.get("neighbours") ?? "0");
	if (neighbours === undefined)
		return bad("bad-value", `neighbours ${TAKES_ALLOWANCE}`);
	const up = parseRate(given.get("up") ?? "0");
	if (up === undefined)
		return bad("bad-value", 'up takes "5 Mbit/s" or the like, or "0"');
	const standby = given.get("standby") ?? false;
	if (typeof standby !== "boolean")
		return bad("bad-value", "standby takes true or false");
	return good({ days, ...hours, trunk, neighbours, up, standby });
}

function daysOf(text: unknown): number[] | undefined {
	if (typeof text !== "string") return undefined;
	const days = new Set<number>();
	for (const part of text.toLowerCase().split(",")) {
		const [first = -1, last = first] = part
			.split("-")
			.map((name) => WEEKDAYS.indexOf(name.trim()));
		if (part.split("-").length > 2 || first < 0 || last < 0) return undefined;
		const count = ((last - first + DAYS) % DAYS) + 1;
		for (let day = 0; day < count; day++) days.add((first + day) % DAYS);
	}
	return [...days].toSorted((a, b) => a - b);
}

function hoursOf(text: unknown): Pick<FillWindow, "from" | "to"> | undefined {
	const [, first, last] = /^\s*(\d{1,2})\s*-\s*(\d{1,2})\s*$/.exec(
		typeof text === "string" ? text : "",
	) ?? [undefined, "", ""];
	if (first === "" || first === undefined) return undefined;
	const from = Number(first);
	const to = Number(last) === 0 ? HOURS : Number(last);
	return from < HOURS && to <= HOURS ? { from, to } : undefined;
}

function allowanceOf(value: unknown): Allowance | undefined {
	return value === "none" ? null : parseRate(value);
}
