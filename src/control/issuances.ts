import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { LarderError } from "../base/errors.ts";
import { good, type Result } from "../base/result.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type Issuance, issuance } from "../wire/enrol.ts";
import { type Envelope, signed, trustAt } from "../wire/envelope.ts";
import { instant } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { readMandate, retireBelow } from "../wire/mandate.ts";
import { type Addressee, type Identity, verify } from "./verify.ts";

const PATIENCE: Millis = 10 * SECOND;

/** What a box may ask about itself. */
export type Asked = "renew" | "time";

/** An answer of the issuer, and how long the question was under way: `at` lies within that time before now. */
export interface Fresh {
	readonly said: Issuance;
	readonly envelope: Envelope;
	readonly tookUpTo: Millis;
}

interface Waiting {
	readonly since: Millis;
	readonly answer: PromiseWithResolvers<Fresh>;
	readonly timer: NodeJS.Timeout;
}

/** What is read before it is known who signed it. */
const first = z.object({ at: instant, mandate: z.optional(signed) });

/** Questions of this box to the issuer that wait for their answer, by nonce. */
export class Issuances {
	private readonly identity: Identity;
	private readonly patience: Millis;
	private readonly waiting = new Map<string, Waiting>();

	constructor(identity: Identity, patience = PATIENCE) {
		this.identity = identity;
		this.patience = patience;
	}

	/**
	 * Rejects with BROKER_FAILED when no answer comes in time.
	 * @param send puts the question, which the nonce marks
	 */
	async ask(send: (nonce: string, patience: Millis) => void): Promise<Fresh> {
		const nonce = randomBytes(16).toString("hex");
		const answer = Promise.withResolvers<Fresh>();
		const timer = setTimeout(
			() => this.giveUp(nonce, "the headend did not answer in time"),
			this.patience,
		);
		this.waiting.set(nonce, { since: monotonic(), answer, timer });
		send(nonce, this.patience);
		return await answer.promise;
	}

	/** Brings an answer to who asked. False when nobody did, or does any more. */
	take(envelope: Envelope): Result<boolean> {
		const read = readIssuance(envelope, this.identity);
		if (!read.ok) return read;
		const waiting = this.waiting.get(read.value.nonce);
		if (waiting === undefined) return good(false);
		this.waiting.delete(read.value.nonce);
		clearTimeout(waiting.timer);
		const tookUpTo = monotonic() - waiting.since;
		waiting.answer.resolve({ said: read.value, envelope, tookUpTo });
		return good(true);
	}

	/** Nobody will answer any more. */
	close(): void {
		for (const nonce of this.waiting.keys())
			this.giveUp(nonce, "the control plane is closing");
	}

	private giveUp(nonce: string, why: string): void {
		const waiting = this.waiting.get(nonce);
		if (waiting === undefined) return;
		this.waiting.delete(nonce);
		clearTimeout(waiting.timer);
		waiting.answer.reject(new LarderError("BROKER_FAILED", why));
	}
}

/**
 * The issuer's word to this box. What it brings of the root's counts from here on, and first: what a retired key said of the time
 * may be all that keeps the box from the rest of the region. Then it is judged as of the moment that it names: who asks for the
 * time cannot judge by its own clock, and the nonce, which is the caller's to compare, shows that the moment is now.
 */
export function readIssuance(
	envelope: Envelope,
	identity: Addressee,
): Result<Issuance> {
	const unsigned = parseMessage(first, Buffer.from(envelope.payload, "base64"));
	if (!unsigned.ok) return unsigned;
	const { at, mandate } = unsigned.value;
	const { trust } = identity;
	if (mandate !== undefined) {
		const said = readMandate(mandate, trust);
		if (!said.ok) return said;
		// What it says of other keys is the head's to bring: boxes keep what those signed until there is something newer.
		retireBelow(trust, "issuer", said.value.minimum.issuer);
	}
	const asOf = { ...identity, trust: trustAt(trust, at) };
	return verify(envelope, "issuer", issuance, asOf);
}
