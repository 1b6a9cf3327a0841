import * as z from "zod/mini";

/** Hours of a day, days of a week. */
export const HOURS = 24;
export const DAYS = 7;
export const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/** Bytes a second; 0 is no limit. */
const rate = z.number().check(z.int(), z.nonnegative());
/** The same; null is nothing at all. */
const allowance = z.nullable(rate);

/** What filling may do in some hours of the week. */
export const fillWindow = z.object({
	/** Days on which it begins; 0 is Monday. */
	days: z
		.array(z.number().check(z.int(), z.minimum(0), z.maximum(DAYS - 1)))
		.check(z.minLength(1), z.maxLength(DAYS)),
	/** The first hour, by the clock on the wall. */
	from: z.number().check(z.int(), z.minimum(0), z.maximum(HOURS - 1)),
	/** The hour in which it is over: on the next day when that is not after `from`. */
	to: z.number().check(z.int(), z.minimum(1), z.maximum(HOURS)),
	/** What fill brings over the trunk. */
	trunk: allowance,
	/** What fill brings from neighbours. */
	neighbours: allowance,
	/** What neighbours are given, viewers among them. */
	up: rate,
	/** Whether it holds while the receiver is in standby, too. */
	standby: z.boolean(),
});
export type FillWindow = z.output<typeof fillWindow>;
export type Allowance = FillWindow["trunk"];

/** When boxes fill. Outside of every window they do not; of several that cover an hour the last one holds. */
export const fillHours = z.object({
	/** IANA name of the zone whose clock is meant. */
	zone: z.string().check(z.minLength(1), z.maxLength(64)),
	windows: z.array(fillWindow).check(z.minLength(1), z.maxLength(64)),
});
export type FillHours = z.output<typeof fillHours>;
