import type * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { bad, good, type Result } from "../base/result.ts";
import type { Clock } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Envelope, Purpose, Signed } from "../wire/envelope.ts";
import {
	type Announcement,
	announcement,
	type Bans,
	bans,
	type Head,
	isNewer,
	isTooFarAhead,
} from "../wire/head.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import { type Mandate, readMandate, retireBelow } from "../wire/mandate.ts";
import { type HeadRecord, headRecord } from "./headrecord.ts";
import { judgePurges, type Purged } from "./purges.ts";
import { loadRecord, saveRecord } from "./record.ts";
import { type Identity, stillCounts, verify } from "./verify.ts";

/** What is in force in the region. */
export interface Standing {
	readonly announcement: Announcement | undefined;
	readonly revoked: ReadonlySet<BoxId>;
	readonly purged: Purged;
	/** The newest statement about revocations and purges that this box obeys. */
	readonly bans: Pick<Bans, "epoch" | "version" | "purged"> | undefined;
}

/** Why a part of a head was not taken. */
export interface Refused {
	readonly slug: string;
	readonly detail: string;
}

export interface Taken {
	/** Something else is in force now. */
	readonly news: boolean;
	readonly refused: readonly Refused[];
}

/** A statement as it was accepted. */
interface Part<T> {
	readonly said: T;
	readonly envelope: Envelope;
	readonly acceptedAt: Millis;
}

/**
 * Keeps the newest statements of the region's head. A head is in force in the turn in which it is taken, so that nothing
 * is served on the strength of an older one; the disk follows. Invariant: each statement only ever rises, across
 * restarts too, except that one whose key was retired can be followed by any, and so can one that was taken before the time
 * was known and turned out to be of the future.
 */
export class Heads {
	private readonly path: string;
	private readonly identity: Identity;
	private readonly ran: Clock;
	private readonly log: Log;
	private announcement: Part<Announcement> | undefined;
	private bans: Part<Bans> | undefined;
	private mandate: { said: Mandate; signed: Signed } | undefined;
	private revoked: ReadonlySet<BoxId> = new Set();
	private purged: Purged = new Map();
	private writing: Promise<void> = Promise.resolve();

	/** @param ran how long this box has run: src/agent/clock.ts */
	constructor(path: string, identity: Identity, ran: Clock, log: Log) {
		this.path = path;
		this.identity = identity;
		this.ran = ran;
		this.log = log;
	}

	get standing(): Standing {
		const { announcement, bans, revoked, purged } = this;
		return {
			announcement: announcement?.said,
			bans: bans?.said,
			revoked,
			purged,
		};
	}

	/** The head to pass on: the newest statements whose keys count. Undefined when there is none. */
	get head(): Head | undefined {
		const { announcement, bans, mandate } = this;
		const parts: Head = {
			...(this.floor(announcement) && {
				announcement: announcement?.envelope,
			}),
			...(this.floor(bans) && { bans: bans?.envelope }),
			...(mandate && { mandate: mandate.signed }),
		};
		return Object.keys(parts).length > 0 ? parts : undefined;
	}

	/** Takes of a head what is newer. A part that is known is good and nothing happens; an older one is a `rollback`. */
	take(head: Head): Taken {
		const refused: Refused[] = [];
		const keep = <T>(taken: Result<T | undefined>): T | undefined => {
			if (taken.ok) return taken.value;
			refused.push({ slug: taken.reason, detail: taken.detail });
			return undefined;
		};
		// First: it says which keys of the others count.
		const mandate = head.mandate && keep(this.takeMandate(head.mandate));
		const told =
			head.announcement &&
			keep(
				this.takePart(
					head.announcement,
					"catalog",
					announcement,
					this.announcement,
				),
			);
		const banned =
			head.bans && keep(this.takePart(head.bans, "revoke", bans, this.bans));
		if (told !== undefined) this.announcement = told;
		// The root's word may vouch for purges that were left alone.
		const again = mandate && this.standingBans;
		refused.push(...this.obey(banned ?? again));
		const news = [mandate, told, banned].some((one) => one !== undefined);
		if (news) this.save();
		return { news, refused };
	}

	/** The time is known now: purges that were left alone for want of it are judged again. */
	reconsider(): Taken {
		const before = this.purged.size;
		const refused = this.obey(this.standingBans);
		const news = this.purged.size !== before;
		if (news) this.save();
		return { news, refused };
	}

	/** Takes up what was accepted before the restart. */
	async load(): Promise<void> {
		const record = await loadRecord(this.path, headRecord);
		if (record === undefined) return;
		if (!record.ok) {
			this.log.warn({ slug: record.reason }, `${this.path}: ${record.detail}`);
			return;
		}
		const { announcement: told, bans: banned, mandate, purged } = record.value;
		// In this order: under a key that was retired since, they are in force until others come.
		if (told) this.announcement = this.reread(told, "catalog", announcement);
		if (banned) this.bans = this.reread(banned, "revoke", bans);
		if (mandate) this.takeMandate(mandate);
		this.revoked = new Set(this.bans?.said.revoked);
		this.purged = new Map(
			purged.map(({ title, ...obeyed }) => [title, obeyed]),
		);
	}

	/** All that was taken is on the disk, as far as it lets us. */
	async close(): Promise<void> {
		await this.writing;
	}

	private takeMandate(signed: Signed): Result<Mandate | undefined> {
		const { trust } = this.identity;
		const read = readMandate(signed, trust);
		if (!read.ok) return read;
		const last = this.mandate?.said.version ?? -1;
		if (read.value.version < last)
			return bad("rollback", `mandate ${read.value.version} after ${last}`);
		if (read.value.version === last) return good(undefined);
		this.mandate = { said: read.value, signed };
		for (const [purpose, serial] of Object.entries(read.value.minimum))
			retireBelow(trust, purpose as Purpose, serial);
		return read;
	}

	private takePart<T extends Announcement | Bans>(
		envelope: Envelope,
		purpose: Purpose,
		schema: z.ZodMiniType<T>,
		last: Part<T> | undefined,
	): Result<Part<T> | undefined> {
		// Neighbours say the same again and again.
		if (last !== undefined && isSame(last.envelope, envelope))
			return good(undefined);
		const { trust } = this.identity;
		const read = verify(envelope, purpose, schema, this.identity);
		if (!read.ok) return read;
		const said = read.value;
		const floor = this.floor(last);
		if (isTooFarAhead(said, trust))
			return bad(
				"too-far-ahead",
				`epoch ${said.epoch} version ${said.version}`,
			);
		if (floor !== undefined && !isNewer(said, floor)) {
			if (!isNewer(floor, said)) return good(undefined);
			return bad(
				"rollback",
				`epoch ${said.epoch} version ${said.version} after ${floor.epoch} ${floor.version}`,
			);
		}
		return good({ said, envelope, acceptedAt: trust.now() });
	}

	/** What the next one must be newer than: nothing, when the key of this one counts no more or it claims too much. */
	private floor<T extends Announcement | Bans>(
		part: Part<T> | undefined,
	): T | undefined {
		if (part === undefined) return undefined;
		const { trust } = this.identity;
		return stillCounts(part.envelope, trust) && !isTooFarAhead(part.said, trust)
			? part.said
			: undefined;
	}

	/** The bans in force, as long as their word counts. */
	private get standingBans(): Part<Bans> | undefined {
		return this.floor(this.bans) && this.bans;
	}

	private obey(next: Part<Bans> | undefined): Refused[] {
		if (next === undefined) return [];
		const { trust } = this.identity;
		const latest = trust.latest();
		const judging = {
			after: this.bans && this.judgedUpTo(this.bans),
			come: Number.isFinite(latest) ? latest : trust.now(),
			ran: this.ran(),
		};
		const vouched = new Set<TitleId>(this.mandate?.said.purged);
		const judged = judgePurges(this.purged, next.said, judging, vouched);
		this.bans = next;
		this.revoked = new Set(next.said.revoked);
		this.purged = judged.purged;
		if (judged.excess.length === 0) return [];
		const detail = `${judged.excess.length} purges without the root's signature`;
		return [{ slug: "too-many-purges", detail }];
	}

	/** What claims to be of the future outdates nothing, nor does what a retired key signed: there were orders meanwhile. */
	private judgedUpTo({ said, envelope, acceptedAt }: Part<Bans>): Millis {
		return stillCounts(envelope, this.identity.trust)
			? Math.min(said.version, acceptedAt)
			: 0;
	}

	private reread<T extends Announcement | Bans>(
		{ envelope, acceptedAt }: NonNullable<HeadRecord["bans"]>,
		purpose: Purpose,
		schema: z.ZodMiniType<T>,
	): Part<T> | undefined {
		const read = verify(envelope, purpose, schema, this.identity, acceptedAt);
		if (read.ok) return { said: read.value, envelope, acceptedAt };
		this.log.warn({ slug: read.reason }, `${this.path}: ${read.detail}`);
		return undefined;
	}

	private save(): void {
		const keep = <T>(part: Part<T> | undefined) =>
			part && { envelope: part.envelope, acceptedAt: part.acceptedAt };
		const record: HeadRecord = {
			announcement: keep(this.announcement),
			bans: keep(this.bans),
			mandate: this.mandate?.signed,
			purged: [...this.purged].map(([title, obeyed]) => ({ title, ...obeyed })),
		};
		this.writing = this.writing
			.then(() => saveRecord(this.path, record))
			.catch((error: unknown) => {
				// A full disk must not keep purges and revocations from a box.
				this.log.error({}, describe(error));
			});
	}
}

/** Whether an envelope is that one to the last letter: with the same signature under it, another is still forged. */
function isSame(known: Envelope, envelope: Envelope): boolean {
	return JSON.stringify(known) === JSON.stringify(envelope);
}
