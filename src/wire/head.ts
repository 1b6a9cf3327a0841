import * as z from "zod/mini";
import { DAY } from "../base/time.ts";
import { envelope, signed, type Time } from "./envelope.ts";
import { fillHours } from "./hours.ts";
import {
	boxId,
	count,
	hex32,
	instant,
	networkId,
	region,
	titleId,
} from "./ids.ts";

const dated = {
	network: networkId,
	region,
	epoch: count,
	/** Milliseconds since 1970, or one more than the last: see `isTooFarAhead`. */
	version: count,
	issuedAt: instant,
};

/** What there is to watch and by which rules (purpose `catalog`). */
export const announcement = z.object({
	...dated,
	catalog: z.object({ key: hex32, length: count }),
	policy: z.object({
		/** Whether shards cached by watching are offered to neighbours; `later` is after a random while for each. */
		shareTransient: z.enum(["now", "later", "never"]),
		/** When boxes fill, whatever they are configured to; by their own hours where this is missing. */
		fill: z.optional(fillHours),
		/** Bytes a second that each box may take from the origin to fill itself; no limit unless given. Viewers are not held by it. */
		originRate: z.optional(count.check(z.positive())),
	}),
});
export type Announcement = z.output<typeof announcement>;

/** Who is shut out and might be let in yet, and what is taken back, ever since the network began (purpose `revoke`). */
export const bans = z.object({
	...dated,
	revoked: z.array(boxId).check(z.maxLength(100_000)),
	/** In the order in which they were ordered. */
	purged: z
		.array(z.object({ title: titleId, at: instant }))
		.check(z.maxLength(100_000)),
});
export type Bans = z.output<typeof bans>;

/**
 * The head as it travels: the newest of each statement that its sender knows. They are signed and counted apart, so that
 * who holds one key can neither say nor hold back what belongs to another.
 */
export const head = z
	.object({
		announcement: z.optional(envelope),
		bans: z.optional(envelope),
		/** The root's own word: src/wire/mandate.ts. */
		mandate: z.optional(signed),
	})
	.check(z.refine((parts) => Object.keys(parts).length > 0, "says nothing"));
export type Head = z.output<typeof head>;

/** What orders statements; a placement's version is its `rev`. */
interface Numbered {
	readonly epoch: number;
	readonly version: number;
}

/**
 * By version, which follows the time: a forged one is passed in the end. The epoch, which rises only when a headend is
 * restored, decides between two of one version.
 */
export function isNewer(a: Numbered, b: Numbered): boolean {
	return (
		a.version > b.version || (a.version === b.version && a.epoch > b.epoch)
	);
}

/**
 * Whether a statement claims to be so much newer that honest ones would not pass it soon: one that is forged blocks others
 * for a day at most.
 * @param version in milliseconds since 1970
 */
export function isTooFarAhead(
	{ version }: Pick<Numbered, "version">,
	time: Time,
): boolean {
	return version > time.latest() + DAY;
}
