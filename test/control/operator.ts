import { randomBytes } from "node:crypto";
import { EventEmitter, on } from "node:events";
import { type Log, silent } from "../../src/base/log.ts";
import type { CommandBody } from "../../src/wire/command.ts";
import {
	type Envelope,
	envelope,
	grantKey,
	type Purpose,
	type Signer,
	seal,
	trustIn,
} from "../../src/wire/envelope.ts";
import type { Announcement, Bans, Head } from "../../src/wire/head.ts";
import type { BoxId, Region, TitleId } from "../../src/wire/ids.ts";
import { encodeMessage, parseMessage } from "../../src/wire/json.ts";
import { generateKeyPair, type KeyPair } from "../../src/wire/keys.ts";
import { type Mandate, signMandate } from "../../src/wire/mandate.ts";
import type { Placement } from "../../src/wire/placement.ts";

/** What a head says, and by which keys, where it matters. */
export interface Said {
	readonly epoch?: number;
	readonly region?: Region;
	readonly issuedAt?: number;
	readonly revoked?: BoxId[];
	readonly purged?: Bans["purged"];
	readonly catalog?: Signer;
	readonly revoke?: Signer;
	readonly mandate?: Omit<Mandate, "network">;
}

export const REGION = "north-1" as Region;

export function newBox(): BoxId {
	return generateKeyPair().publicKey.toString("hex") as BoxId;
}

export function newTitle(): TitleId {
	return randomBytes(32).toString("hex") as TitleId;
}

/** An operator with its root and online keys, who signs what a test wants signed. */
export class Operator {
	readonly root: KeyPair = generateKeyPair();
	readonly trust = trustIn(this.root.publicKey, Date.now);

	signer(
		purpose: Purpose,
		notAfter = Date.now() + 3_600_000,
		serial = 1,
	): Signer {
		const pair = generateKeyPair();
		const key = pair.publicKey.toString("hex");
		const grant = { purpose, key, serial, notBefore: 0, notAfter };
		return { purpose, pair, grant: grantKey(this.root, grant) };
	}

	placement(
		box: BoxId,
		epoch: number,
		rev: number,
		body: Placement["body"] = { titles: [] },
		signer = this.signer("placement"),
	): Buffer {
		const { network } = this.trust;
		return seal(signer, { network, box, region: REGION, epoch, rev, body });
	}

	/** A head of which both statements have this version. */
	head(version: number, said: Said = {}): Buffer {
		return encodeMessage(this.parts(version, said));
	}

	parts(
		version: number,
		{
			epoch = 1,
			region = REGION,
			revoked = [],
			purged = [],
			...said
		}: Said = {},
	): Head {
		const { network } = this.trust;
		const issuedAt = said.issuedAt ?? Date.now();
		const dated = { network, region, epoch, version, issuedAt };
		const { catalog, revoke, mandate } = said;
		return {
			announcement: envelopeOf(
				seal(catalog ?? this.signer("catalog"), {
					...dated,
					catalog: { key: "0".repeat(64), length: version },
					policy: { shareTransient: "now" },
				} satisfies Announcement),
			),
			bans: envelopeOf(
				seal(revoke ?? this.signer("revoke"), {
					...dated,
					revoked,
					purged,
				} satisfies Bans),
			),
			...(mandate && { mandate: signMandate(this.root, mandate) }),
		};
	}

	command(
		box: BoxId,
		body: CommandBody,
		lifetime = 60_000,
		serial = 1,
	): Buffer {
		const until = Date.now() + 86_400_000;
		return seal(this.signer("placement", until, serial), {
			network: this.trust.network,
			box,
			id: randomBytes(16).toString("hex"),
			issuedAt: Date.now(),
			expires: Date.now() + lifetime,
			body,
		});
	}
}

function envelopeOf(bytes: Buffer): Envelope {
	const read = parseMessage(envelope, bytes);
	if (!read.ok) throw new Error(read.detail);
	return read.value;
}

/** What happened, in order, to be waited for. */
export class Happenings<T> {
	readonly all: T[] = [];
	private readonly emitter = new EventEmitter();

	readonly add = (value: T): void => {
		this.all.push(value);
		this.emitter.emit("one", value);
	};

	/** The first one that fits, whether it happened already or will. */
	async until<Fit extends T>(
		fits: ((value: T) => value is Fit) | ((value: T) => boolean),
		from = 0,
	): Promise<T> {
		const news = on(this.emitter, "one");
		const found = this.all.slice(from).find((value) => fits(value));
		if (found !== undefined) return found;
		for await (const [value] of news) if (fits(value)) return value;
		throw new Error("never happened");
	}
}

/** A log whose lines can be waited for. */
export function heard(lines: Happenings<string>): Log {
	const line = (fields: object, message: string) =>
		lines.add(`${message} ${JSON.stringify(fields)}`);
	return { ...silent, debug: line, info: line, warn: line, error: line };
}
