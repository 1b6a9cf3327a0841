import * as z from "zod/mini";
import { DAY, SECOND } from "../base/time.ts";
import { envelope, signed, type Time } from "./envelope.ts";
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
	}),
});
export type Announcement = z.output<typeof announcement>;

/** Who is shut out and what is taken back, ever since the network began (purpose `revoke`). */
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

type Numbered = Pick<Announcement, "epoch" | "version">;

export function isNewer(a: Numbered, b: Numbered): boolean {
	return a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);
}

/**
 * Whether a statement claims to be so much newer that honest ones could never pass it: versions follow the time in
 * milliseconds and epochs in seconds, so a forged one blocks others for a day at most.
 */
export function isTooFarAhead(
	{ epoch, version }: Numbered,
	time: Time,
): boolean {
	const end = time.latest() + DAY;
	return epoch * SECOND > end || version > end;
}
