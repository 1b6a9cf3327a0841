import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import { pack, type Signed, signed, unpack } from "./envelope.ts";
import {
	type BoxId,
	boxId,
	count,
	instant,
	type NetworkId,
	networkId,
	titleId,
} from "./ids.ts";
import { encodeMessage, type ParseReason, parseMessage } from "./json.ts";
import type { KeyPair } from "./keys.ts";

const DOMAIN = "larder/attest/1";

/** Statements in one message. */
export const MAX_ATTESTED = 100;

/**
 * What a box says, signed by its own key, of a title that was taken back. `hidden`: it is neither shown nor given to anybody
 * any more. `deleted`: nothing of it is on the disk, neither blocks nor manifest, holder table or key.
 */
const attestation = z.object({
	network: networkId,
	box: boxId,
	title: titleId,
	/** The `at` under which the title stands in the bans: a title may be given back and taken back again. */
	ordered: instant,
	/** The bans that the box obeyed when it looked. */
	bans: z.object({ epoch: count, version: count }),
	state: z.enum(["hidden", "deleted"]),
	/** Rises with every message of the box, and is the same in all of one message. */
	at: instant,
});
export type Attestation = z.output<typeof attestation>;

/** `up/attest`, told again until the command `attested` says that it was kept. */
export const attest = z.array(signed).check(z.maxLength(MAX_ATTESTED));

export function signAttestation(pair: KeyPair, said: Attestation): Signed {
	return pack(DOMAIN, encodeMessage(said), pair);
}

/** A box's word, whoever brought it: its id is the key. */
export function readAttestation(
	said: Signed,
	network: NetworkId,
	box: BoxId,
): Result<
	Attestation,
	ParseReason | "bad-signature" | "wrong-network" | "wrong-box"
> {
	const bytes = unpack(DOMAIN, said, Buffer.from(box, "hex"));
	if (bytes === undefined)
		return bad("bad-signature", "it is not signed by the box");
	const read = parseMessage(attestation, bytes);
	if (!read.ok) return read;
	if (read.value.network !== network)
		return bad("wrong-network", read.value.network);
	if (read.value.box !== box) return bad("wrong-box", read.value.box);
	return good(read.value);
}
