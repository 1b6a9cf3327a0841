import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import type { Millis } from "../base/units.ts";
import { hex32, instant, type NetworkId, networkId, networkOf } from "./ids.ts";
import {
	encodeMessage,
	type ParseReason,
	parseMessage,
	parseValue,
} from "./json.ts";
import { type KeyPair, signBytes, verifyBytes } from "./keys.ts";

/** What an operator's key may sign. A signature under another purpose is refused. */
export const PURPOSES = [
	"release",
	"issuer",
	"catalog",
	"placement",
	"revoke",
] as const;
export type Purpose = (typeof PURPOSES)[number];

/** What the offline root says of one online key. */
const keyGrant = z.object({
	network: networkId,
	purpose: z.enum(PURPOSES),
	key: hex32,
	serial: z.number().check(z.int(), z.nonnegative()),
	notBefore: instant,
	notAfter: instant,
});
export type KeyGrant = z.output<typeof keyGrant>;

const base64 = z.string().check(z.regex(/^[A-Za-z0-9+/]*={0,2}$/));
const signed = z.object({ payload: base64, signature: base64 });

/** The exact bytes of one statement, who signed them and by which grant of the root. */
export const envelope = z.object({
	v: z.literal(1),
	purpose: z.enum(PURPOSES),
	...signed.shape,
	grant: signed,
});
export type Envelope = z.output<typeof envelope>;

export type EnvelopeReason =
	| ParseReason
	| "bad-signature"
	| "wrong-purpose"
	| "wrong-network"
	| "expired"
	| "not-yet-valid";

/** Whom a reader trusts: the operator's root and nobody else. `now` is a clock because readers live long. */
export interface Trust {
	readonly rootKey: Uint8Array;
	readonly network: NetworkId;
	readonly now: () => Millis;
}

/** A key, and the root's signed grant for it: what is needed to sign for one purpose. */
export interface Signer {
	readonly purpose: Purpose;
	readonly pair: KeyPair;
	readonly grant: z.output<typeof signed>;
}

export function trustIn(rootKey: Uint8Array, now: () => Millis): Trust {
	return { rootKey, network: networkOf(rootKey), now };
}

/** The root certifies an online key for one purpose. */
export function grantKey(
	root: KeyPair,
	grant: Omit<KeyGrant, "network">,
): Signer["grant"] {
	const payload = encodeMessage({
		network: networkOf(root.publicKey),
		...grant,
	});
	return pack(payload, signBytes("larder/grant/1", payload, root));
}

/** Signs a statement; its bytes travel as they were signed. */
export function seal(signer: Signer, statement: unknown): Buffer {
	const payload = encodeMessage(statement);
	return encodeMessage({
		v: 1,
		purpose: signer.purpose,
		...pack(
			payload,
			signBytes(`larder/envelope/1/${signer.purpose}`, payload, signer.pair),
		),
		grant: signer.grant,
	} satisfies Envelope);
}

/** Checks the chain from the root to the statement, then reads the statement against its schema. */
export function unseal<T extends z.ZodMiniType>(
	bytes: Uint8Array,
	purpose: Purpose,
	schema: T,
	trust: Trust,
): Result<z.output<T>, EnvelopeReason> {
	const outer = parseMessage(envelope, bytes);
	if (!outer.ok) return outer;
	return unsealParsed(outer.value, purpose, schema, trust);
}

export function unsealParsed<T extends z.ZodMiniType>(
	outer: Envelope,
	purpose: Purpose,
	schema: T,
	trust: Trust,
): Result<z.output<T>, EnvelopeReason> {
	if (outer.purpose !== purpose)
		return bad("wrong-purpose", `signed for ${outer.purpose}, not ${purpose}`);
	const grant = checkGrant(outer, trust);
	if (!grant.ok) return grant;
	const payload = Buffer.from(outer.payload, "base64");
	const signature = Buffer.from(outer.signature, "base64");
	const domain = `larder/envelope/1/${purpose}`;
	if (
		!verifyBytes(
			domain,
			payload,
			signature,
			Buffer.from(grant.value.key, "hex"),
		)
	) {
		return bad(
			"bad-signature",
			"the statement is not signed by the granted key",
		);
	}
	return parseMessage(schema, payload);
}

function checkGrant(
	outer: Envelope,
	trust: Trust,
): Result<KeyGrant, EnvelopeReason> {
	const payload = Buffer.from(outer.grant.payload, "base64");
	const signature = Buffer.from(outer.grant.signature, "base64");
	if (!verifyBytes("larder/grant/1", payload, signature, trust.rootKey)) {
		return bad("bad-signature", "the grant is not signed by the root");
	}
	const grant = parseMessage(keyGrant, payload);
	if (!grant.ok) return grant;
	if (grant.value.network !== trust.network)
		return bad("wrong-network", grant.value.network);
	if (grant.value.purpose !== outer.purpose) {
		return bad(
			"wrong-purpose",
			`the key is granted for ${grant.value.purpose}`,
		);
	}
	const dated = checkDates(grant.value, trust.now());
	return dated.ok ? grant : dated;
}

/** Shared by everything that carries a validity: not before, not after. */
export function checkDates(
	dates: { readonly notBefore: Millis; readonly notAfter: Millis },
	now: Millis,
): Result<true, "expired" | "not-yet-valid"> {
	if (now < dates.notBefore)
		return bad("not-yet-valid", new Date(dates.notBefore).toISOString());
	if (now >= dates.notAfter)
		return bad("expired", new Date(dates.notAfter).toISOString());
	return good(true);
}

/** Reads an envelope's JSON without checking it, to pass it on. */
export function parseEnvelope(value: unknown): Result<Envelope, "bad-schema"> {
	return parseValue(envelope, value);
}

function pack(payload: Buffer, signature: Buffer): z.output<typeof signed> {
	return {
		payload: payload.toString("base64"),
		signature: signature.toString("base64"),
	};
}
