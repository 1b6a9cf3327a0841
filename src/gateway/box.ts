import type { FillHours } from "../wire/hours.ts";
import type { Status } from "../wire/ipc.ts";

/** What the household sees of its box: how much, and never of which title. */
export interface BoxView
	extends Pick<
		Status,
		"power" | "household" | "store" | "fill" | "rates" | "limits" | "today"
	> {
	readonly neighbours: number;
	/** When it fills; undefined for any time. */
	readonly hours: FillHours | undefined;
	/** The hour of the week that it is there, from Monday's first; undefined while the time is not known. */
	readonly hour: number | undefined;
}

/** What a page may show of all that the agent knows. */
export function boxView(
	{
		power,
		household,
		store,
		fill,
		rates,
		limits,
		today,
		swarm: { neighbours },
	}: Status,
	hours: BoxView["hours"],
	hour: BoxView["hour"],
): BoxView {
	return {
		...{ power, household, store, fill, rates, limits, today, hours, hour },
		neighbours: neighbours.length,
	};
}
