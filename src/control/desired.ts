import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { bad, good, type Result } from "../base/result.ts";
import { SECOND } from "../base/time.ts";
import { type Envelope, envelope } from "../wire/envelope.ts";
import { isNewer, isTooFarAhead } from "../wire/head.ts";
import { instant } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import type { Groups } from "../wire/near.ts";
import {
	type PlacedTitle,
	type Placement,
	type PlacementBody,
	placement,
} from "../wire/placement.ts";
import {
	type BodyRef,
	checkRef,
	type FetchRef,
	fetchBody,
	readBody,
} from "./body.ts";
import { loadRecord, saveRecord } from "./record.ts";
import { type Identity, stillCounts, verify } from "./verify.ts";

/** A placement as it was accepted, kept so that a box that starts without a broker knows it. */
const record = z.object({
	/** Its signature is checked as of then: keys expire, and a box may start before it knows the time. */
	acceptedAt: instant,
	envelope,
	/** The exact text of a body that came by reference. */
	body: z.optional(z.string()),
});

/** The placement in force, its titles at hand wherever they came from. */
export interface Desired {
	readonly epoch: number;
	readonly rev: number;
	readonly titles: readonly PlacedTitle[];
	/** The groups that the box is in. */
	readonly near: Groups;
}

interface Verified {
	readonly placement: Placement;
	readonly envelope: Envelope;
}

export interface DesiredOptions {
	readonly path: string;
	readonly identity: Identity;
	readonly fetchRef: FetchRef;
	/** A newer placement is in force; it is on disk as far as the disk lets us. */
	readonly onAccepted: (desired: Desired) => void;
	/** The titles of a placement cannot be had yet; they are tried for again. */
	readonly onFault: (slug: string, detail: string) => void;
	readonly log: Log;
}

/**
 * Keeps the newest placement of the box. Invariant: `last` and `floor` only ever rise, across restarts too, unless the key
 * of `floor` was retired or it was taken before the time was known and turned out to be of the future.
 */
export class Placements {
	private readonly options: DesiredOptions;
	private newest: Desired | undefined;
	/** The newest placement that was verified; its titles may still be on their way. */
	private floor: Verified | undefined;
	/** Ends the fetch of the titles of `floor`. */
	private fetching = new AbortController();

	/** One placement after the other is written and announced. */
	private turn: Promise<void> = Promise.resolve();

	constructor(options: DesiredOptions) {
		this.options = options;
	}

	get last(): Desired | undefined {
		return this.newest;
	}

	/** Takes a placement that is newer; one that is known is good and nothing happens. */
	async take(bytes: Buffer): Promise<Result<true>> {
		const outer = parseMessage(envelope, bytes);
		if (!outer.ok) return outer;
		const { identity } = this.options;
		const read = verify(outer.value, "placement", placement, identity);
		if (!read.ok) return read;
		const { epoch, rev, body } = read.value;
		const asked = numberOf(read.value);
		if (isTooFarAhead(asked, identity.trust))
			return bad("too-far-ahead", `epoch ${epoch} rev ${rev}`);
		const last = this.mustPass();
		if (last !== undefined && !isNewer(asked, numberOf(last))) {
			if (!isNewer(numberOf(last), asked)) return good(true);
			return bad(
				"rollback",
				`epoch ${epoch} rev ${rev} after ${last.epoch} ${last.rev}`,
			);
		}
		const allowed = "ref" in body ? checkRef(body) : good(true);
		if (!allowed.ok) return allowed;
		this.fetching.abort();
		const verified = { placement: read.value, envelope: outer.value };
		this.floor = verified;
		if ("ref" in body) this.fetch(verified, body);
		else await this.accept(verified, body);
		return good(true);
	}

	async close(): Promise<void> {
		this.fetching.abort();
		await this.turn;
	}

	/** What the next one must be newer than: nothing, when the key of this one counts no more or it claims too much. */
	private mustPass(): Placement | undefined {
		if (this.floor === undefined) return undefined;
		const { placement, envelope } = this.floor;
		const { trust } = this.options.identity;
		return stillCounts(envelope, trust) &&
			!isTooFarAhead(numberOf(placement), trust)
			? placement
			: undefined;
	}

	/** Fetches in the background: commands and newer placements must not wait for the origin. */
	private fetch(wanted: Verified, ref: BodyRef): void {
		this.fetching = new AbortController();
		const { signal } = this.fetching;
		const { fetchRef, onFault, log } = this.options;
		fetchBody(ref, fetchRef, onFault, signal)
			.then(({ said, text }) => this.accept(wanted, said, text))
			.catch((error: unknown) => {
				if (!signal.aborted) log.error({}, describe(error));
			});
	}

	private accept(
		wanted: Verified,
		said: PlacementBody,
		body?: string,
	): Promise<void> {
		const { path, identity, onAccepted, log } = this.options;
		this.turn = this.turn.then(async () => {
			if (this.floor !== wanted) return;
			try {
				await saveRecord(path, {
					acceptedAt: identity.trust.now(),
					envelope: wanted.envelope,
					...(body !== undefined && { body }),
				});
			} catch (error) {
				// A box with a full disk must hear of the placement that makes room.
				log.error({}, describe(error));
			}
			this.newest = desiredBy(wanted, said);
			onAccepted(this.newest);
		});
		return this.turn;
	}

	/** Takes up what was accepted before the restart; does not announce it. */
	async load(): Promise<void> {
		const { path, identity, log } = this.options;
		const kept = await loadRecord(path, record);
		if (kept === undefined) return;
		const read = kept.ok
			? verify(
					kept.value.envelope,
					"placement",
					placement,
					identity,
					kept.value.acceptedAt,
				)
			: kept;
		if (!read.ok) {
			log.warn({ slug: read.reason }, `${path}: ${read.detail}`);
			return;
		}
		if (!kept.ok) return;
		const { body } = read.value;
		const verified = { placement: read.value, envelope: kept.value.envelope };
		this.floor = verified;
		if (!("ref" in body)) {
			this.newest = desiredBy(verified, body);
			return;
		}
		const whole = readBody(body, Buffer.from(kept.value.body ?? ""));
		if (whole.ok) this.newest = desiredBy(verified, whole.value.said);
		else this.fetch(verified, body);
	}
}

function desiredBy(
	{ placement: { epoch, rev } }: Verified,
	{ titles, near = [] }: PlacementBody,
): Desired {
	return { epoch, rev, titles, near };
}

function numberOf({ epoch, rev }: Pick<Placement, "epoch" | "rev">) {
	return { epoch, version: rev * SECOND };
}
