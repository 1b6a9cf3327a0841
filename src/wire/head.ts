import * as z from "zod/mini";
import {
	boxId,
	count,
	hex32,
	instant,
	networkId,
	region,
	titleId,
} from "./ids.ts";

/** The region's one small signed statement (purpose `catalog`). Newest (epoch, version) wins. */
export const head = z.object({
	network: networkId,
	region,
	epoch: count,
	version: count,
	issuedAt: instant,
	catalog: z.object({ key: hex32, length: count }),
	revoked: z.array(boxId).check(z.maxLength(100_000)),
	purged: z.array(titleId).check(z.maxLength(100_000)),
	policy: z.object({
		/** Whether shards cached by watching are offered to neighbours. */
		shareTransient: z.enum(["now", "never"]),
	}),
});
export type Head = z.output<typeof head>;

export function isNewerHead(
	a: Pick<Head, "epoch" | "version">,
	b: Pick<Head, "epoch" | "version">,
): boolean {
	return a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);
}
