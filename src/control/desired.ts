import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { bad, good, type Result } from "../base/result.ts";
import { type Envelope, envelope } from "../wire/envelope.ts";
import { parseMessage } from "../wire/json.ts";
import {
	type PlacedTitle,
	type Placement,
	placement,
} from "../wire/placement.ts";
import {
	type Body,
	type BodyRef,
	checkRef,
	type FetchRef,
	fetchBody,
	readBody,
} from "./body.ts";
import { loadRecord, saveRecord } from "./record.ts";
import { type Identity, verify } from "./verify.ts";

/** The placement in force, its titles at hand wherever they came from. */
export interface Desired {
	readonly epoch: number;
	readonly rev: number;
	readonly titles: readonly PlacedTitle[];
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

/** Keeps the newest placement of the box. Invariant: `last` and `floor` only ever rise, across restarts too. */
export class Placements {
	private readonly options: DesiredOptions;
	private newest: Desired | undefined;
	/** The newest placement that was verified; its titles may still be on their way. */
	private floor: Placement | undefined;
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
		const { floor } = this;
		if (floor !== undefined) {
			const ahead = epoch - floor.epoch || rev - floor.rev;
			if (ahead === 0) return good(true);
			if (ahead < 0)
				return bad(
					"rollback",
					`epoch ${epoch} rev ${rev} after ${floor.epoch} ${floor.rev}`,
				);
		}
		const allowed = "ref" in body ? checkRef(body) : good(true);
		if (!allowed.ok) return allowed;
		this.fetching.abort();
		this.floor = read.value;
		if ("ref" in body) this.fetch(read.value, body, outer.value);
		else await this.accept(read.value, body.titles, outer.value);
		return good(true);
	}

	async close(): Promise<void> {
		this.fetching.abort();
		await this.turn;
	}

	/** Fetches in the background: commands and newer placements must not wait for the origin. */
	private fetch(wanted: Placement, ref: BodyRef, outer: Envelope): void {
		this.fetching = new AbortController();
		const { signal } = this.fetching;
		const { fetchRef, onFault, log } = this.options;
		fetchBody(ref, fetchRef, onFault, signal)
			.then(({ titles, text }) => this.accept(wanted, titles, outer, text))
			.catch((error: unknown) => {
				if (!signal.aborted) log.error({}, describe(error));
			});
	}

	private accept(
		wanted: Placement,
		titles: Body["titles"],
		outer: Envelope,
		body?: string,
	): Promise<void> {
		const { path, identity, onAccepted, log } = this.options;
		const { epoch, rev } = wanted;
		this.turn = this.turn.then(async () => {
			if (this.floor !== wanted) return;
			try {
				await saveRecord(path, {
					acceptedAt: identity.trust.now(),
					envelope: outer,
					...(body !== undefined && { body }),
				});
			} catch (error) {
				// A box with a full disk must hear of the placement that makes room.
				log.error({}, describe(error));
			}
			this.newest = { epoch, rev, titles };
			onAccepted(this.newest);
		});
		return this.turn;
	}

	/** Takes up what was accepted before the restart; does not announce it. */
	async load(): Promise<void> {
		const { path, identity, log } = this.options;
		const record = await loadRecord(path);
		if (record === undefined) return;
		const read = record.ok
			? verify(
					record.value.envelope,
					"placement",
					placement,
					identity,
					record.value.acceptedAt,
				)
			: record;
		if (!read.ok) {
			log.warn({ slug: read.reason }, `${path}: ${read.detail}`);
			return;
		}
		if (!record.ok) return;
		const { epoch, rev, body } = read.value;
		this.floor = read.value;
		if (!("ref" in body)) {
			this.newest = { epoch, rev, titles: body.titles };
			return;
		}
		const kept = readBody(body, Buffer.from(record.value.body ?? ""));
		if (kept.ok) this.newest = { epoch, rev, titles: kept.value.titles };
		else this.fetch(read.value, body, record.value.envelope);
	}
}
