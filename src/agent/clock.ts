import { uptime } from "node:os";
import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { good, type Result } from "../base/result.ts";
import { type Clock, HOUR, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type Fresh, readIssuance } from "../control/issuances.ts";
import { loadRecord, saveRecord } from "../control/record.ts";
import type { Span } from "../control/tls.ts";
import type { Identity } from "../control/verify.ts";
import {
	type Envelope,
	envelope,
	grantOf,
	type Trust,
} from "../wire/envelope.ts";
import { count } from "../wire/ids.ts";

const record = z.object({
	/** How long this box has run in all. */
	ran: count,
	/** The last signed time, and how much has gone by since then that it has seen. */
	said: z.optional(z.object({ statement: envelope, elapsed: count })),
});

/** How often the time that went by is written down; what a power cut may take from it. */
const EVERY: Millis = HOUR;

/** Milliseconds since the machine started, in its sleep too. */
const ticks: Clock = () => uptime() * SECOND;

/** A moment, and the tick at which it was. */
interface Anchor {
	readonly at: Millis;
	readonly tick: Millis;
	/** Of the key that said so; Infinity for what this box knows by itself. */
	readonly serial: number;
}

/** What the issuer said last. */
interface Statement {
	readonly envelope: Envelope;
	/** The moment that it names. */
	readonly at: Millis;
	readonly anchor: Anchor;
}

/**
 * The time, as far as this box knows it. The system's clock is not asked: receivers have no battery for one, and NTP is
 * anybody's word. It is at least the floor (when the software was built, the lease was given, or what the issuer said last, and
 * since then what the machine has run), and known once the issuer has answered in this run. Of what a retired issuer said nothing
 * counts, or a thief of its key could put a box beyond the end of every certificate that there is.
 */
export class BoxClock {
	private readonly tick: Clock;
	private readonly base: Anchor;
	/** When the lease began. */
	private leased: Anchor | undefined;
	/** What the issuer said in an earlier run. */
	private last: Anchor | undefined;
	/** What the issuer said in this run, and by how much it may be later. */
	private said: (Anchor & { readonly slack: Millis }) | undefined;
	private statement: Statement | undefined;
	private minimum: Trust["minimum"] | undefined;
	private readonly began: Millis;
	private ranBefore: Millis = 0;
	private timer: NodeJS.Timeout | undefined;
	private save = () => {};
	private told = () => {};
	private writing: Promise<void> = Promise.resolve();

	/** @param floor it is at least that late */
	constructor(floor: Millis, tick = ticks) {
		this.tick = tick;
		this.began = tick();
		this.base = { at: floor, tick: tick(), serial: Number.POSITIVE_INFINITY };
	}

	/** It is at least this late. */
	readonly now: Clock = () =>
		Math.max(
			this.passed(this.base),
			this.passed(this.leased),
			this.passed(this.last),
			this.passed(this.said),
		);

	/** It is at most this late; Infinity until the issuer has answered. */
	readonly latest: Clock = () =>
		this.isKnown && this.said !== undefined
			? Math.max(this.now(), this.passed(this.said) + this.said.slack)
			: Number.POSITIVE_INFINITY;

	readonly span = (): Span => ({ earliest: this.now(), latest: this.latest() });

	/**
	 * How long this box has run in all, in whole milliseconds: whatever is said of the time, it goes on like a watch, and
	 * stands still while the box is off. A power cut may take some of it back.
	 */
	readonly ran: Clock = () => this.ranBefore + this.up();

	/** How long it has run this time, in the machine's sleep too, in whole milliseconds. */
	readonly up: Clock = () => Math.max(0, Math.floor(this.tick() - this.began));

	get isKnown(): boolean {
		return this.said !== undefined && this.counts(this.said);
	}

	/** It is later than that, as whoever signed `by` vouches. */
	raise(floor: Millis, by: Envelope): void {
		const anchor = this.anchor(floor, by);
		if (anchor.at > this.passed(this.leased)) this.leased = anchor;
	}

	/** Takes up what was said before the restart, and from now on writes down what goes by. */
	async begin(path: string, identity: Identity, log: Log): Promise<void> {
		this.minimum = identity.trust.minimum;
		const kept = await loadRecord(path, record);
		const taken = kept?.ok ? this.takeUp(kept.value, identity) : kept;
		if (taken?.ok === false)
			log.warn({ slug: taken.reason }, `${path}: ${taken.detail}`);
		this.save = () => {
			const kept = { ran: this.ran(), said: this.sayable() };
			this.writing = this.writing
				.then(() => saveRecord(path, kept))
				.catch((error: unknown) => log.error({}, describe(error)));
		};
		// A box that was let in just now was told the time.
		if (this.said !== undefined) this.save();
		this.timer = setInterval(this.save, EVERY).unref();
	}

	/** The issuer has answered a question of this run. */
	learn({ said, envelope, tookUpTo }: Fresh): void {
		const anchor = this.anchor(said.at, envelope);
		this.said = { ...anchor, slack: tookUpTo };
		this.statement = { envelope, at: said.at, anchor };
		this.save();
		this.told();
	}

	/** The listener is called each time that the issuer has answered. */
	onLearned(listener: () => void): void {
		this.told = listener;
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		this.save();
		await this.writing;
	}

	private takeUp(
		{ ran, said }: z.output<typeof record>,
		identity: Identity,
	): Result<true> {
		this.ranBefore = ran;
		if (said === undefined) return good(true);
		const { statement, elapsed } = said;
		const read = readIssuance(statement, identity);
		if (!read.ok) return read;
		const { at } = read.value;
		this.last = this.anchor(at + elapsed, statement);
		this.statement ??= { envelope: statement, at, anchor: this.last };
		return good(true);
	}

	/** What was said last, and what went by since then by its own reckoning: under another key's a thief's time would outlast his. */
	private sayable(): z.output<typeof record>["said"] {
		if (this.statement === undefined) return undefined;
		const { envelope: statement, at, anchor } = this.statement;
		const elapsed = Math.max(0, Math.floor(this.reckon(anchor) - at));
		return { statement, elapsed };
	}

	private anchor(at: Millis, { grant }: Envelope): Anchor {
		const read = grantOf(grant);
		return { at, tick: this.tick(), serial: read.ok ? read.value.serial : 0 };
	}

	/** Now, by one anchor; long ago when the key that set it was retired. */
	private passed(anchor: Anchor | undefined): Millis {
		if (anchor === undefined || !this.counts(anchor)) return 0;
		return this.reckon(anchor);
	}

	private reckon({ at, tick }: Anchor): Millis {
		return at + Math.max(0, this.tick() - tick);
	}

	private counts({ serial }: Anchor): boolean {
		return serial >= (this.minimum?.get("issuer") ?? 0);
	}
}
