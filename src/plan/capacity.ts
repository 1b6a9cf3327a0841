import { type Bytes, MiB } from "../base/units.ts";

/** Of the disk that the store lies on. */
export interface DiskView {
	/** Taken by the store. */
	readonly used: Bytes;
	/** Free to be taken by anybody. */
	readonly free: Bytes;
}

/** What counts as a change of the disk: a hundredth of the quota, but 64 MiB at least, of a small quota a tenth. */
export function stepOf(quota: Bytes): Bytes {
	return Math.ceil(Math.max(quota / 100, Math.min(64 * MiB, quota / 10)));
}

/**
 * How much the store may take in all: the quota, or less on a disk that others fill, too. Each change of it makes the headend
 * plan anew. So it never changes by less than a step, and stays below what is there even while others write:
 * a step of the disk is left free when it changes.
 * @param before what it was; undefined at the start
 */
export function capacityOn(
	{ used, free }: DiskView,
	quota: Bytes,
	before: Bytes | undefined,
): Bytes {
	const step = stepOf(quota);
	const now = Math.min(quota, Math.max(0, used + free - step));
	if (before === undefined || before > used + free) return now;
	return now - before > step ? now : before;
}
