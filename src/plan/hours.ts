import { HOUR, MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import {
	DAYS,
	type FillHours,
	type FillWindow,
	HOURS,
	WEEKDAYS,
} from "../wire/hours.ts";
import type { State } from "../wire/reports.ts";

/** What filling may do now. */
export interface FillLeave
	extends Pick<FillWindow, "trunk" | "neighbours" | "up"> {
	/** Why nothing may be filled; undefined while something may. */
	readonly closed?: "hours" | "standby" | "time-unknown";
	/** When that changes, by the clock; undefined where it does not within a week. */
	readonly until?: Millis;
}

const FREE: FillLeave = { trunk: 0, neighbours: 0, up: 0 };

/** A week of hours, Monday's first one first, in the time of one place. */
export class Week {
	private readonly cells: readonly (FillWindow | undefined)[];
	private readonly clock: Intl.DateTimeFormat;

	/** Throws a RangeError for a zone that is not known here. */
	constructor({ zone, windows }: FillHours) {
		const cells: (FillWindow | undefined)[] = Array(DAYS * HOURS).fill(
			undefined,
		);
		for (const window of windows) {
			const { days, from, to } = window;
			const hours = to > from ? to - from : to + HOURS - from;
			for (const day of days)
				for (let hour = 0; hour < hours; hour++)
					cells[(day * HOURS + from + hour) % cells.length] = window;
		}
		this.cells = cells;
		this.clock = new Intl.DateTimeFormat("en", {
			...{ timeZone: zone, hourCycle: "h23" },
			...{ weekday: "short", hour: "numeric", minute: "numeric" },
		});
	}

	/** @param now milliseconds since 1970 */
	at(now: Millis): FillWindow | undefined {
		return this.cells[this.hourOf(now)];
	}

	/** From Monday's first hour, by the clock on the wall. */
	hourOf(now: Millis): number {
		const { day, hour } = this.read(now);
		return day * HOURS + hour;
	}

	/** When the hour ends in which `now` lies: where clocks are put forward or back the next one may be another than one thinks. */
	hourAfter(now: Millis): Millis {
		const { minute } = this.read(now);
		return now - (now % MINUTE) - minute * MINUTE + HOUR;
	}

	private read(now: Millis) {
		const parts = new Map(
			this.clock
				.formatToParts(now)
				.map(({ type, value }) => [type, value] as const),
		);
		const day = WEEKDAYS.indexOf((parts.get("weekday") ?? "").toLowerCase());
		return {
			day,
			hour: Number(parts.get("hour")),
			minute: Number(parts.get("minute")),
		};
	}
}

/** The day on the wall: `2027-01-04`. @param now milliseconds since 1970 */
export function dayIn(zone: string, now: Millis): string {
	// Swedes write dates as ISO 8601 does.
	return new Intl.DateTimeFormat("sv", { timeZone: zone }).format(now);
}

/**
 * What filling may do. Without hours a box fills whenever it is awake: only a window that says so lets it fill in standby, in
 * which it is to need next to nothing.
 * @param week the operator's, or the box's own; undefined for any time
 * @param now undefined while the time is not known
 */
export function leaveAt(
	week: Week | undefined,
	now: Millis | undefined,
	power: State["power"],
): FillLeave {
	if (week === undefined) return power === "active" ? FREE : shut("standby");
	if (now === undefined) return shut("time-unknown");
	const leave = judge(week.at(now), power);
	const until = changeAfter(week, now, power, leave);
	return { ...leave, ...(until !== undefined && { until }) };
}

function judge(
	window: FillWindow | undefined,
	power: State["power"],
): FillLeave {
	if (window === undefined) return shut("hours");
	const { trunk, neighbours, up, standby } = window;
	if (power === "off" || (power === "standby" && !standby))
		return { ...shut("standby"), up };
	const closed = trunk === null && neighbours === null;
	return { trunk, neighbours, up, ...(closed && { closed: "hours" }) };
}

/** Outside of the hours neighbours are given as at any time: viewers are among them. */
function shut(closed: NonNullable<FillLeave["closed"]>): FillLeave {
	return { trunk: null, neighbours: null, up: 0, closed };
}

function changeAfter(
	week: Week,
	now: Millis,
	power: State["power"],
	leave: FillLeave,
): Millis | undefined {
	let at = now;
	for (let hour = 0; hour <= DAYS * HOURS; hour++) {
		at = week.hourAfter(at);
		if (isOther(judge(week.at(at), power), leave)) return at;
	}
	return undefined;
}

function isOther(a: FillLeave, b: FillLeave): boolean {
	return (
		a.closed !== b.closed ||
		a.trunk !== b.trunk ||
		a.neighbours !== b.neighbours ||
		a.up !== b.up
	);
}
