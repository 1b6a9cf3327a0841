import { join } from "node:path";
import type * as z from "zod/mini";
import type { Log } from "../../base/log.ts";
import { DAY } from "../../base/time.ts";
import {
	type Envelope,
	envelope,
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
 * Signs the region's head. A statement is signed anew only when something in it or its key changed, or when it is old; it
 * lies in `<operator>/head.json`, so that a restarted headend goes on where it was. A restore raises the epoch, which is
 * newer than any version before.
 */
export class HeadWriter {
	private readonly operator: Operator;
	private readonly path: string;
	private announcement: Part<Announcement> | undefined;
	private bans: Part<Bans> | undefined;
	/** The root's word as it was last told. */
	private mandate: Signed | undefined;

	private constructor(operator: Operator) {
		this.operator = operator;
		this.mandate = operator.mandate;
		this.path = join(operator.dir, "head.json");
	}

	static async open(operator: Operator, log: Log): Promise<HeadWriter> {
		const writer = new HeadWriter(operator);
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

	/** Signs and keeps what is new or old, and takes up the root's word. False when the last head says the same. */
	async write(content: HeadContent): Promise<boolean> {
		const { signers, mandate } = this.operator;
		const { catalog, revoke } = signers;
		const told = this.next(this.announcement, content.announcement, catalog);
		const banned = this.next(this.bans, content.bans, revoke);
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
	): Part<T> {
		const { network, region, epoch, trust } = this.operator;
		const issuedAt = trust.now();
		if (
			last !== undefined &&
			issuedAt - last.said.issuedAt < STALE &&
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
			version: Math.max((last?.said.version ?? 0) + 1, issuedAt),
			issuedAt,
		} as T;
		const read = parseMessage(envelope, seal(signer, said));
		if (!read.ok) throw new Error(read.detail);
		return { said, envelope: read.value };
	}

	/** Undefined for one of an earlier epoch, or damaged: the next is signed anew, and is newer for its epoch or its time. */
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
