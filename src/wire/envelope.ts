import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import type { Clock } from "../base/time.ts";
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

const GRANT_DOMAIN = "larder/grant/1";

function domainOf(purpose: Purpose): string {
	return `larder/envelope/1/${purpose}`;
}

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
/** Exact bytes and a signature over them, both base64. */
export const signed = z.object({ payload: base64, signature: base64 });
export type Signed = z.output<typeof signed>;

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
	| "retired-key"
	| "expired"
	| "not-yet-valid";

/** What a reader knows of the time. A receiver has no clock of its own: until it was told, it only knows a floor. */
export interface Time {
	/** It is at least this late. */
	readonly now: Clock;
	/** It is at most this late; Infinity while nobody knows. */
	readonly latest: Clock;
}

/** The time by a clock that is right. */
export function timeOf(now: Clock): Time {
	return { now, latest: now };
}

/** Whom a reader trusts: the operator's root and nobody else. All of it may change while the reader lives. */
export interface Trust extends Time {
	readonly rootKey: Uint8Array;
	readonly network: NetworkId;
	/** The lowest serial that still counts among the keys for a purpose; raised in place as the root's mandate says. */
	readonly minimum: Map<Purpose, number>;
}

/** A key, and the root's signed grant for it: what is needed to sign for one purpose. */
export interface Signer {
	readonly purpose: Purpose;
	readonly pair: KeyPair;
	readonly grant: Signed;
}

/**
 * Trust in a root key, all of whose keys count so far.
 * @param latest for a clock that may be behind
 */
export function trustIn(
	rootKey: Uint8Array,
	now: Clock,
	latest: Clock = now,
): Trust {
	const network = networkOf(rootKey);
	return { rootKey, network, now, latest, minimum: new Map() };
}

/** The same trust at one moment. */
export function trustAt(trust: Trust, at: Millis): Trust {
	return { ...trust, now: () => at, latest: () => at };
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
	return pack(GRANT_DOMAIN, payload, root);
}

/** Signs a statement; its bytes travel as they were signed. */
export function seal(signer: Signer, statement: unknown): Buffer {
	const payload = encodeMessage(statement);
	return encodeMessage({
		v: 1,
		purpose: signer.purpose,
		...pack(domainOf(signer.purpose), payload, signer.pair),
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
	const key = Buffer.from(grant.value.key, "hex");
	const payload = unpack(domainOf(purpose), outer, key);
	if (payload === undefined) {
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
	const payload = unpack(GRANT_DOMAIN, outer.grant, trust.rootKey);
	if (payload === undefined)
		return bad("bad-signature", "the grant is not signed by the root");
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
	if (grant.value.serial < (trust.minimum.get(grant.value.purpose) ?? 0)) {
		return bad(
			"retired-key",
			`key ${grant.value.serial} for ${grant.value.purpose} counts no more`,
		);
	}
	const dated = checkDates(grant.value, trust);
	return dated.ok ? grant : dated;
}

/** Shared by everything that carries a validity: not before, not after. */
export function checkDates(
	dates: { readonly notBefore: Millis; readonly notAfter: Millis },
	time: Time,
): Result<true, "expired" | "not-yet-valid"> {
	if (time.latest() < dates.notBefore)
		return bad("not-yet-valid", new Date(dates.notBefore).toISOString());
	if (time.now() >= dates.notAfter)
		return bad("expired", new Date(dates.notAfter).toISOString());
	return good(true);
}

/** Reads an envelope's JSON without checking it, to pass it on. */
export function parseEnvelope(value: unknown): Result<Envelope, "bad-schema"> {
	return parseValue(envelope, value);
}

/** What a grant says, unchecked: for whoever asks which key signed what was accepted before. */
export function grantOf({ payload }: Signed): Result<KeyGrant, ParseReason> {
	return parseMessage(keyGrant, Buffer.from(payload, "base64"));
}

/** Signs bytes in a domain of their own. */
export function pack(domain: string, payload: Buffer, pair: KeyPair): Signed {
	return {
		payload: payload.toString("base64"),
		signature: signBytes(domain, payload, pair).toString("base64"),
	};
}

/** The bytes, when `publicKey` signed them in that domain. */
export function unpack(
	domain: string,
	{ payload, signature }: Signed,
	publicKey: Uint8Array,
): Buffer | undefined {
	const bytes = Buffer.from(payload, "base64");
	return verifyBytes(domain, bytes, Buffer.from(signature, "base64"), publicKey)
		? bytes
		: undefined;
}
