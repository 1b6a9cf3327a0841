import { uptime } from "node:os";
import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import { type Clock, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type Identity, stillCounts, verify } from "../control/verify.ts";
import { command } from "../wire/command.ts";
import { type Envelope, envelope, type Time } from "../wire/envelope.ts";
import { count, type TitleId } from "../wire/ids.ts";
import { encodeMessage, parseMessage } from "../wire/json.ts";

/** What of a lease is left when it is renewed, give or take, and how much later that may be: boxes are not to ask together. */
const REST = 1 / 3;
const JITTER = 1 / 12;

/** Milliseconds since the machine started, in its sleep too. */
const ticks: Clock = () => uptime() * SECOND;

/** A lease on disk: the command that brought it, and how much of it this box has seen go by. */
const record = z.object({ envelope, elapsed: count });

interface Terms {
	readonly envelope: Envelope;
	/** The key, sealed to this box. */
	readonly sealed: Buffer;
	readonly issuedAt: Millis;
	readonly until: Millis;
}

/** How long a title's key may be used. */
export class KeyLease {
	readonly sealed: Buffer;
	private readonly terms: Terms;
	private readonly time: Pick<Time, "now">;
	private readonly tick: Clock;
	/** By `tick`: it is over by then, whatever becomes of the other clock. */
	private readonly deadline: Millis;
	/** It is renewed when no more than this is left. */
	private readonly rest: Millis;

	/**
	 * @param elapsed how much of it has gone by at least
	 * @param tick never runs backwards
	 */
	constructor(
		terms: Terms,
		elapsed: Millis,
		time: Pick<Time, "now">,
		tick: Clock = ticks,
		random = Math.random,
	) {
		const { sealed, issuedAt, until } = terms;
		this.sealed = sealed;
		this.terms = terms;
		this.time = time;
		this.tick = tick;
		const gone = Math.max(elapsed, time.now() - issuedAt);
		// A box that does not know the time knows this: it is at least as late as the lease was made.
		this.deadline = tick() + (until - issuedAt - gone);
		this.rest = (until - issuedAt) * (REST - JITTER * random());
	}

	/** How long it may still be used, at most; 0 when it is over. */
	get left(): Millis {
		const left = Math.min(
			this.terms.until - this.time.now(),
			this.deadline - this.tick(),
		);
		return Math.max(0, left);
	}

	/** How long until it is to be renewed; 0 when that is due. */
	get renewIn(): Millis {
		return Math.max(0, this.left - this.rest);
	}

	/** Whether the operator's key that signed it does. */
	counts({ trust }: Pick<Identity, "trust">): boolean {
		return stillCounts(this.terms.envelope, trust);
	}

	/** For the disk. */
	encode(): Buffer {
		const { envelope, issuedAt, until } = this.terms;
		const elapsed = Math.max(0, Math.ceil(until - issuedAt - this.left));
		return encodeMessage({
			envelope,
			elapsed,
		} satisfies z.output<typeof record>);
	}
}

/** Reads the signed command that brought a key, as it came: see `check`. */
export function readKeyLease(
	bytes: Uint8Array,
	title: TitleId,
	identity: Identity,
): Result<KeyLease> {
	const outer = parseMessage(envelope, bytes);
	return outer.ok ? check(outer.value, 0, title, identity) : outer;
}

/** Reads a lease as it was kept: see `check`. */
export function decodeKeyLease(
	bytes: Uint8Array,
	title: TitleId,
	identity: Identity,
): Result<KeyLease> {
	const kept = parseMessage(record, bytes);
	if (!kept.ok) return kept;
	return check(kept.value.envelope, kept.value.elapsed, title, identity);
}

/** A lease is from the operator, by a key that counts, for this box and title, and not over (`ended`). */
function check(
	outer: Envelope,
	elapsed: Millis,
	title: TitleId,
	identity: Identity,
): Result<KeyLease> {
	const read = verify(outer, "placement", command, identity);
	if (!read.ok) return read;
	const { body, issuedAt } = read.value;
	if (body.kind !== "key") return bad("no-key", body.kind);
	if (body.title !== title) return bad("wrong-title", body.title);
	const { until } = body;
	const sealed = Buffer.from(body.sealed, "base64");
	const terms = { envelope: outer, sealed, issuedAt, until };
	const lease = new KeyLease(terms, elapsed, identity.trust);
	return lease.left > 0
		? good(lease)
		: bad("ended", new Date(until).toISOString());
}
