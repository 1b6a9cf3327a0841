import { createHmac, timingSafeEqual } from "node:crypto";
import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import { envelope, pack, signed, unpack } from "./envelope.ts";
import { type BoxId, boxId, hex32, instant, networkId, region } from "./ids.ts";
import { encodeMessage, type ParseReason, parseMessage } from "./json.ts";
import type { KeyPair } from "./keys.ts";

const REQUEST_DOMAIN = "larder/enrol/1";
const CLAIM_DOMAIN = "larder/claim/1";
const PROOF_DOMAIN = "larder/claim-proof/1";

const pem = z.string().check(z.maxLength(16_384));
/** 16 random bytes that tie an answer to its question. */
export const nonce = z.string().check(z.regex(/^[0-9a-f]{32}$/));
const serial = z.string().check(z.minLength(1), z.maxLength(64));
const batch = z.string().check(z.regex(/^[a-z0-9][a-z0-9-]{0,31}$/));

/** `enrol.json`, which the factory writes beside larder.toml: whom the box is to believe, and what shows that it is ours. */
export const enrolFile = z.object({
	v: z.literal(1),
	network: networkId,
	rootKey: hex32,
	/** The root's own certificate, which vouches for brokers. */
	ca: pem,
	/** The listener for boxes without certificates: `mqtts://host:port`. */
	url: z.string().check(z.maxLength(256)),
	serial,
	batch,
	/** The box's own, or the batch's: see `claimOf`. */
	claim: hex32,
});
export type EnrolFile = z.output<typeof enrolFile>;

/** What a box asks for: to be let in, or to be let stay. */
const enrolment = z.object({
	network: networkId,
	box: boxId,
	nonce,
	serial,
	batch: z.optional(batch),
});
export type Enrolment = z.output<typeof enrolment>;

/** `enrol/<box>/up/request`: signed with the box's key, so that nobody asks for another. */
const enrolRequest = z.object({
	...signed.shape,
	/** That the box knows its claim, without saying it: who only passes this on can let no other key in. */
	proof: z.optional(hex32),
});

/**
 * The claim of one box; without a serial, the one that all boxes of a batch share.
 * @param secret the batch's, 32 bytes; it never leaves the headend
 */
export function claimOf(secret: Uint8Array, serial = ""): Buffer {
	return mac(secret, CLAIM_DOMAIN, Buffer.from(serial, "utf8"));
}

/** @param claim 32 bytes; none for a box that is known already */
export function encodeEnrolment(
	asked: Omit<Enrolment, "box">,
	pair: KeyPair,
	claim?: Uint8Array,
): Buffer {
	const box = pair.publicKey.toString("hex") as BoxId;
	const bytes = encodeMessage({ ...asked, box } satisfies Enrolment);
	return encodeMessage({
		...pack(REQUEST_DOMAIN, bytes, pair),
		...(claim && { proof: mac(claim, PROOF_DOMAIN, bytes).toString("hex") }),
	});
}

/** A request whose signature is its box's own. `shows` tells whether its sender knows a claim. */
export interface ReadEnrolment {
	readonly asked: Enrolment;
	readonly shows: (claim: Uint8Array) => boolean;
}

/** @param box under whose name it came */
export function readEnrolment(
	message: Uint8Array,
	box: BoxId,
): Result<ReadEnrolment, ParseReason | "bad-signature" | "wrong-box"> {
	const outer = parseMessage(enrolRequest, message, 16_384);
	if (!outer.ok) return outer;
	const bytes = unpack(REQUEST_DOMAIN, outer.value, Buffer.from(box, "hex"));
	if (bytes === undefined)
		return bad("bad-signature", "not signed with the box's own key");
	const read = parseMessage(enrolment, bytes);
	if (!read.ok) return read;
	if (read.value.box !== box) return bad("wrong-box", read.value.box);
	const { proof } = outer.value;
	return good({
		asked: read.value,
		shows: (claim) =>
			proof !== undefined &&
			timingSafeEqual(
				Buffer.from(proof, "hex"),
				mac(claim, PROOF_DOMAIN, bytes),
			),
	});
}

/** What the operator's word to one box carries when it is let in, or stays. */
const papers = z.object({
	region,
	/** src/wire/membership.ts */
	certificate: envelope,
	/** For TLS: the box's certificate and the issuer's. */
	chain: pem,
	/** The network's secret, sealed to the box, base64. */
	secret: z.string().check(z.maxLength(256)),
	/** Where to ask once this lease has ended, as `url` of `enrol.json`. */
	enrolUrl: z.optional(
		z.string().check(z.maxLength(256), z.startsWith("mqtts:")),
	),
});
export type Papers = z.output<typeof papers>;

/**
 * What the headend answers to an enrolment, a renewal or a question for the time (purpose `issuer`). It is fresh for whoever
 * drew the nonce, so that `at` is the time.
 */
export const issuance = z.object({
	network: networkId,
	box: boxId,
	nonce,
	at: instant,
	/** What the root says of issuers, src/wire/mandate.ts: it counts before anything else that is said here. */
	mandate: z.optional(signed),
	papers: z.optional(papers),
	/** Without papers: `pending` until a person decides, or a slug of why not. */
	refusal: z.optional(z.string().check(z.maxLength(64))),
});
export type Issuance = z.output<typeof issuance>;

function mac(key: Uint8Array, domain: string, bytes: Uint8Array): Buffer {
	return createHmac("sha256", key).update(`${domain}\0`).update(bytes).digest();
}
