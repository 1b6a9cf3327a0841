import * as z from "zod/mini";
import { LOG_LEVELS } from "../base/log.ts";
import { envelope } from "./envelope.ts";
import { boxId, instant, networkId, titleId } from "./ids.ts";

const requestId = z.string().check(z.regex(/^[0-9a-f]{32}$/));

/** `down/command` (purpose `placement`): one thing for one box to do before it expires, done at most once. */
export const command = z.object({
	network: networkId,
	box: boxId,
	id: requestId,
	issuedAt: instant,
	expires: instant,
	body: z.discriminatedUnion("kind", [
		/** The answer to a key request: the title key sealed to the box's public key, base64, to be used until then. */
		z.object({
			kind: z.literal("key"),
			request: requestId,
			title: titleId,
			sealed: z.string().check(z.maxLength(256)),
			until: instant,
		}),
		z.object({
			kind: z.literal("key-denied"),
			request: requestId,
			title: titleId,
			reason: z.string().check(z.maxLength(64)),
		}),
		/** Nobody could decide just now: a lease in hand goes on, and the box may ask again. */
		z.object({
			kind: z.literal("key-undecided"),
			request: requestId,
			title: titleId,
			reason: z.string().check(z.maxLength(64)),
		}),
		/** Forget the title's key, whatever its lease says. */
		z.object({ kind: z.literal("key-revoked"), title: titleId }),
		/** The answer to a renewal or a question for the time: src/wire/enrol.ts, signed by the issuer. */
		z.object({ kind: z.literal("issuance"), statement: envelope }),
		/** Renew the membership now: its issuer's key is about to be retired. */
		z.object({ kind: z.literal("renew") }),
		/** Report fill levels now. */
		z.object({ kind: z.literal("report") }),
		/** Answer with a support bundle. */
		z.object({ kind: z.literal("support") }),
		z.object({ kind: z.literal("log-level"), level: z.enum(LOG_LEVELS) }),
		/** Become the release that is the title's content: src/wire/release.ts, signed by the key for releases. */
		z.object({
			kind: z.literal("update"),
			title: titleId,
			statement: envelope,
		}),
		/** What the box attested at that instant is kept: src/wire/attest.ts. */
		z.object({ kind: z.literal("attested"), at: instant }),
	]),
});
export type Command = z.output<typeof command>;
export type CommandBody = Command["body"];
