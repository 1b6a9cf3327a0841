import { bad, good, type Result } from "../base/result.ts";
import { monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type Identity, verify } from "../control/verify.ts";
import { command } from "../wire/command.ts";
import { envelope, type Time } from "../wire/envelope.ts";
import type { TitleId } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";

/** What of a lease is left when it is renewed, give or take, and how much later that may be: boxes are not to ask together. */
const REST = 1 / 3;
const JITTER = 1 / 12;

/** How long a title's key may be used. */
export class KeyLease {
	readonly until: Millis;
	/** The key, sealed to this box. */
	readonly sealed: Buffer;
	private readonly time: Pick<Time, "now">;
	private readonly clock: () => Millis;
	/** By the monotonic clock: it is over by then, whatever becomes of the other one. */
	private readonly deadline: Millis;
	/** It is renewed when no more than this is left. */
	private readonly rest: Millis;

	/** @param clock never runs backwards */
	constructor(
		lease: {
			readonly sealed: Buffer;
			readonly issuedAt: Millis;
			readonly until: Millis;
		},
		time: Pick<Time, "now">,
		clock: () => Millis = monotonic,
		random = Math.random,
	) {
		const { sealed, issuedAt, until } = lease;
		this.sealed = sealed;
		this.until = until;
		this.time = time;
		this.clock = clock;
		// It is at least as late as the lease was made: all that a box may know that has no clock.
		this.deadline = clock() + until - Math.max(issuedAt, time.now());
		this.rest = (until - issuedAt) * (REST - JITTER * random());
	}

	/** How long it may still be used, at most; 0 when it is over. */
	get left(): Millis {
		const left = Math.min(
			this.until - this.time.now(),
			this.deadline - this.clock(),
		);
		return Math.max(0, left);
	}

	/** How long until it is to be renewed; 0 when that is due. */
	get renewIn(): Millis {
		return Math.max(0, this.left - this.rest);
	}
}

/**
 * Reads the signed command that brought a key, as it came or as it was kept: from the operator, by a key that counts, for
 * this box and title, and not over (`ended`).
 */
export function readKeyLease(
	bytes: Uint8Array,
	title: TitleId,
	identity: Identity,
): Result<KeyLease> {
	const outer = parseMessage(envelope, bytes);
	if (!outer.ok) return outer;
	const read = verify(outer.value, "placement", command, identity);
	if (!read.ok) return read;
	const { body, issuedAt } = read.value;
	if (body.kind !== "key") return bad("no-key", body.kind);
	if (body.title !== title) return bad("wrong-title", body.title);
	const { until } = body;
	const sealed = Buffer.from(body.sealed, "base64");
	const lease = new KeyLease({ sealed, issuedAt, until }, identity.trust);
	return lease.left > 0
		? good(lease)
		: bad("ended", new Date(until).toISOString());
}
