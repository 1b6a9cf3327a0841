import { join } from "node:path";
import type * as z from "zod/mini";
import type { Log } from "../../base/log.ts";
import { Seldom } from "../../base/seldom.ts";
import { DAY } from "../../base/time.ts";
import {
	type Envelope,
	envelope,
	type Purpose,
	type Signed,
	type Signer,
	seal,
	unsealParsed,
} from "../../wire/envelope.ts";
import {
	type Announcement,
	announcement,
	type Bans,
	bans,
	type Head,
	head,
	isTooFarAhead,
} from "../../wire/head.ts";
import { encodeMessage, parseMessage } from "../../wire/json.ts";
import { PUBLIC, readIfThere, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";

type Statement = Announcement | Bans;
/** What a statement says, without what every one has. */
type Content<T extends Statement> = Omit<
	T,
	"network" | "region" | "epoch" | "version" | "issuedAt"
>;

export interface HeadContent {
	readonly announcement: Content<Announcement>;
	readonly bans: Content<Bans>;
}

interface Part<T extends Statement> {
	readonly said: T;
	readonly envelope: Envelope;
}

/** Boxes take a purge only if it is dated after the statement before: one that is a day old gives a thief a day, not more. */
const STALE = DAY;

/**
 * Signs the region's head. A statement is signed anew only when something in it or its key changed, when it is old, or when
 * the region has a newer one; it lies in `<operator>/head.json`, so that a restarted headend goes on where it was. One that
 * was restored goes on above what it hears: see `heed`.
 */
export class HeadWriter {
	private readonly operator: Operator;
	private readonly path: string;
	private announcement: Part<Announcement> | undefined;
	private bans: Part<Bans> | undefined;
	/** The root's word as it was last told. */
	private mandate: Signed | undefined;
	/** The versions that the region has, as far as they were heard. */
	private readonly known = { announcement: 0, bans: 0 };
	private readonly log: Log;
	private readonly told = new Seldom();

	private constructor(operator: Operator, log: Log) {
		this.operator = operator;
		this.log = log;
		this.mandate = operator.mandate;
		this.path = join(operator.dir, "head.json");
	}

	static async open(operator: Operator, log: Log): Promise<HeadWriter> {
		const writer = new HeadWriter(operator, log);
		const bytes = await readIfThere(writer.path);
		if (bytes === undefined) return writer;
		const read = parseMessage(head, bytes);
		if (!read.ok) {
			log.warn({ path: writer.path, why: read.detail }, "the head is damaged");
			return writer;
		}
		writer.announcement = writer.reread(read.value.announcement, announcement);
		writer.bans = writer.reread(read.value.bans, bans);
		return writer;
	}

	/** Undefined before the first one is written. */
	get head(): Head | undefined {
		const { announcement, bans, mandate } = this;
		if (announcement === undefined || bans === undefined) return undefined;
		return {
			announcement: announcement.envelope,
			bans: bans.envelope,
			...(mandate && { mandate }),
		};
	}

	/** The last statement about bans of this epoch. */
	get banned(): Bans | undefined {
		return this.bans?.said;
	}

	get bytes(): Buffer | undefined {
		return this.head && encodeMessage(this.head);
	}

	/**
	 * A head from anywhere: what is signed from here on is newer. A restored headend may know less than the region, and this
	 * machine's clock may be behind the one that signed what boxes have.
	 */
	heed(heard: Head): void {
		const { known } = this;
		const { announcement: told, bans: banned } = heard;
		known.announcement = Math.max(
			known.announcement,
			this.versionOf(told, "catalog", announcement, this.announcement),
		);
		known.bans = Math.max(
			known.bans,
			this.versionOf(banned, "revoke", bans, this.bans),
		);
	}

	/** Signs and keeps what is new or old, and takes up the root's word. False when the last head says the same. */
	async write(content: HeadContent): Promise<boolean> {
		const { signers, mandate } = this.operator;
		const { catalog, revoke } = signers;
		const { known } = this;
		const told = this.next(
			this.announcement,
			content.announcement,
			catalog,
			known.announcement,
		);
		const banned = this.next(this.bans, content.bans, revoke, known.bans);
		const same = told === this.announcement && banned === this.bans;
		if (same && mandate === this.mandate) return false;
		const next: Head = { announcement: told.envelope, bans: banned.envelope };
		await writeWhole(this.path, encodeMessage(next), PUBLIC);
		this.announcement = told;
		this.bans = banned;
		this.mandate = mandate;
		return true;
	}

	private next<T extends Statement>(
		last: Part<T> | undefined,
		content: Content<T>,
		signer: Signer,
		known: number,
	): Part<T> {
		const { network, region, epoch, trust } = this.operator;
		const issuedAt = trust.now();
		if (
			last !== undefined &&
			issuedAt - last.said.issuedAt < STALE &&
			last.said.version >= known &&
			last.envelope.grant.payload === signer.grant.payload &&
			says(last.said, content)
		)
			return last;
		const said = {
			...content,
			network,
			region,
			epoch,
			// Time as a floor: a lost head.json must not lead to a version that boxes have already seen.
			version: Math.max((last?.said.version ?? 0) + 1, known + 1, issuedAt),
			issuedAt,
		} as T;
		const read = parseMessage(envelope, seal(signer, said));
		if (!read.ok) throw new Error(read.detail);
		return { said, envelope: read.value };
	}

	/** 0 for what is not the operator's, or what boxes that know the time would not take. */
	private versionOf<T extends Statement>(
		outer: Envelope | undefined,
		purpose: Purpose,
		schema: z.ZodMiniType<T>,
		mine: Part<T> | undefined,
	): number {
		if (outer === undefined) return 0;
		const { trust, region } = this.operator;
		const read = unsealParsed(outer, purpose, schema, trust);
		if (!read.ok || read.value.region !== region) return 0;
		const { version } = read.value;
		// Of two with one number boxes keep the first: where that is another's, ours has to pass it.
		const isRival =
			version === mine?.said.version &&
			outer.signature !== mine.envelope.signature;
		if (!isTooFarAhead(read.value, trust))
			return isRival ? version + 1 : version;
		const unlisted = this.told.pass(purpose);
		if (unlisted !== undefined)
			this.log.error(
				{ purpose, dated: new Date(version), unlisted },
				"the region was told something that is more than a day ahead of this machine: set its clock, or replace the key that signed it",
			);
		return 0;
	}

	/** Undefined for one of an earlier epoch, or damaged: the next is signed anew. */
	private reread<T extends Statement>(
		outer: Envelope | undefined,
		schema: z.ZodMiniType<T>,
	): Part<T> | undefined {
		if (outer === undefined) return undefined;
		const { trust, epoch } = this.operator;
		const read = unsealParsed(outer, outer.purpose, schema, trust);
		return read.ok && read.value.epoch === epoch
			? { said: read.value, envelope: outer }
			: undefined;
	}
}

function says<T extends Statement>(said: T, content: Content<T>): boolean {
	return Object.entries(content).every(
		([key, value]) =>
			JSON.stringify(value) === JSON.stringify(said[key as keyof T]),
	);
}
