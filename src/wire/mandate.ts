import * as z from "zod/mini";
import { bad, type Result } from "../base/result.ts";
import {
	PURPOSES,
	type Purpose,
	pack,
	type Signed,
	type Trust,
	unpack,
} from "./envelope.ts";
import { count, networkId, networkOf, titleId } from "./ids.ts";
import { encodeMessage, type ParseReason, parseMessage } from "./json.ts";
import type { KeyPair } from "./keys.ts";

const DOMAIN = "larder/mandate/1";

/**
 * What only the offline root may say, signed by itself: which online keys count no more, and purges beyond those that an
 * online key may order in a day. The highest version counts.
 */
const mandate = z.object({
	network: networkId,
	version: count,
	/** By purpose: keys with a lower serial are retired. */
	minimum: z.partialRecord(z.enum(PURPOSES), count),
	purged: z.array(titleId).check(z.maxLength(100_000)),
});
export type Mandate = z.output<typeof mandate>;

export function signMandate(
	root: KeyPair,
	said: Omit<Mandate, "network">,
): Signed {
	const network = networkOf(root.publicKey);
	return pack(DOMAIN, encodeMessage({ network, ...said }), root);
}

/** A mandate has no dates: a box that knows no time must be able to take one. */
export function readMandate(
	signed: Signed,
	trust: Pick<Trust, "rootKey" | "network">,
): Result<Mandate, ParseReason | "bad-signature" | "wrong-network"> {
	const bytes = unpack(DOMAIN, signed, trust.rootKey);
	if (bytes === undefined)
		return bad("bad-signature", "the mandate is not signed by the root");
	const read = parseMessage(mandate, bytes);
	if (read.ok && read.value.network !== trust.network)
		return bad("wrong-network", read.value.network);
	return read;
}

/** Keys that the root has retired count no more. No later word of it brings one back, nor does an older one that is heard later. */
export function retireBelow(
	{ minimum }: Pick<Trust, "minimum">,
	purpose: Purpose,
	serial = 0,
): void {
	minimum.set(purpose, Math.max(serial, minimum.get(purpose) ?? 0));
}
