import { SECOND } from "../base/time.ts";
import { type Bytes, MiB, type Millis, type Rate } from "../base/units.ts";

/** Of the disk that the store lies on. */
export interface DiskView {
	/** Taken by the store. */
	readonly used: Bytes;
	/** Free to be taken by anybody. */
	readonly free: Bytes;
}

/** What the household gives. */
export interface Allowance {
	/** The most that the store may take. */
	readonly quota: Bytes;
	/** Always to be left free for others, as for recordings. */
	readonly reserve: Bytes;
}

/** What counts as a change of the disk: a hundredth of the quota, but 64 MiB at least, of a small quota a tenth. */
export function stepOf(quota: Bytes): Bytes {
	return Math.ceil(Math.max(quota / 100, Math.min(64 * MiB, quota / 10)));
}

/**
 * How much the store may take in all: the quota, or less on a disk that others fill, too, down to the reserve. Each change of it
 * makes the headend plan anew. So it never changes by less than a step, and stays below what is there even while others write:
 * a step of the disk beyond the reserve is left free when it changes, and comes back when two are.
 * @param before what it was; undefined at the start
 */
export function capacityOn(
	{ used, free }: DiskView,
	{ quota, reserve }: Allowance,
	before: Bytes | undefined,
): Bytes {
	const step = stepOf(quota);
	const there = used + free - reserve;
	const now = Math.min(quota, Math.max(0, there - step));
	if (before === undefined || before > there) return now;
	return now - before > step ? now : before;
}

/** No receiver's disk is written faster. */
const FASTEST: Rate = 500 * MiB;
const OFTEN: Millis = 0.5 * SECOND;
const SELDOM: Millis = 10 * SECOND;

/**
 * How soon to look at the disk again: before others can have written what is free beyond the reserve, and near it twice a
 * second. With what it takes to unlink, the reserve then stands again within two seconds. One look is one system call.
 */
export function lookAgain({ free }: DiskView, { reserve }: Allowance): Millis {
	const left = ((free - reserve) / FASTEST) * SECOND;
	return Math.min(SELDOM, Math.max(OFTEN, left));
}
