import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import type { Clock } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import {
	type Envelope,
	envelope,
	trustAt,
	unsealParsed,
} from "../../wire/envelope.ts";
import type { IdentityFile } from "../../wire/identity.ts";
import {
	type BoxId,
	boxId,
	hex32,
	instant,
	isBoxId,
	region,
	short,
} from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import {
	generateKeyPair,
	type KeyPair,
	keyPairFromSeed,
} from "../../wire/keys.ts";
import { certificate as certificateOf } from "../../wire/membership.ts";
import { certifyBox } from "../tls/authority.ts";
import { readPapers } from "../tls/keys.ts";
import { type BoxSettings, boxConfig } from "./boxconfig.ts";
import {
	isVacant,
	PUBLIC,
	readIfThere,
	readSecret,
	SECRET,
	writeWhole,
} from "./file.ts";
import { certifyMember, LEASE, leaseFrom } from "./lease.ts";
import type { Operator } from "./operator.ts";

const headendFile = z.object({ seed: hex32, certificate: envelope });

export interface IssueSettings extends BoxSettings {
	readonly serial: string;
	/** The new box's folder: absent or empty. */
	readonly dir: string;
	/** Called before the serial is given to `box` while others are on record under it, to see that they are shut out. */
	readonly makeWay?: (others: readonly BoxId[], box: BoxId) => Promise<void>;
}

const issued = z.object({
	box: boxId,
	serial: z.string(),
	region,
	/** When it was put on record. */
	issuedAt: instant,
	/** When it was last given a lease; none since then unless given. */
	renewedAt: z.optional(instant),
});
/** The record that the operator keeps of a box; no secrets in it. */
export type Issued = z.output<typeof issued>;

/** A key pair with the certificate that lets it into the region. */
export interface Membership {
	readonly box: BoxId;
	readonly pair: KeyPair;
	/** As it is to be shown. */
	readonly certificate: Envelope;
}

/**
 * Makes a box's folder: identity.json (its key, its certificates; only for that box) and larder.toml.
 * Throws CONFIG_INVALID when the folder is not empty or the serial is not 1 to 64 characters, OPERATOR_INVALID when there is no
 * authority in keys/, and REQUEST_INVALID for a serial that is on record already, or as `makeWay` rejects.
 */
export async function issueBox(
	operator: Operator,
	settings: IssueSettings,
	now: Clock = Date.now,
): Promise<BoxId> {
	const dir = resolve(settings.dir);
	if (!(await isVacant(dir))) {
		throw new LarderError(
			"CONFIG_INVALID",
			`${dir} is not empty: a box is issued into a new folder`,
		);
	}
	const { serial } = settings;
	if (serial.length < 1 || serial.length > 64) {
		throw new LarderError("CONFIG_INVALID", "a serial has 1 to 64 characters");
	}
	const identity = await newIdentity(operator, serial, now());
	await mkdir(dirname(dir), { recursive: true });
	const draft = await mkdtemp(join(dirname(dir), `.${basename(dir)}-issue-`));
	try {
		await writeWhole(join(draft, "identity.json"), identity.text, SECRET);
		await writeWhole(
			join(draft, "larder.toml"),
			boxConfig(operator.config, settings),
			PUBLIC,
		);
		const { box } = identity;
		const others = await boxesAs(operator.dir, serial);
		if (others.length > 0) await (settings.makeWay ?? refuse)(others, box);
		// Recorded first: a box that is known and never shipped does no harm, the other way round it would be a stranger.
		const { region } = operator;
		await writeIssued(operator, { box, serial, region, issuedAt: now() });
		await rename(draft, dir);
	} finally {
		await rm(draft, { recursive: true, force: true });
	}
	return identity.box;
}

/** The record of a box; undefined for one that this operator never issued. */
export async function readIssued(
	operatorDir: string,
	box: BoxId,
): Promise<Issued | undefined> {
	const bytes = await readIfThere(issuedPath(operatorDir, box));
	if (bytes === undefined) return undefined;
	const read = parseMessage(issued, bytes);
	return read.ok && read.value.box === box ? read.value : undefined;
}

/** All that were ever issued under a serial. */
async function boxesAs(operatorDir: string, serial: string): Promise<BoxId[]> {
	const boxes: BoxId[] = [];
	for (const name of await readdir(join(operatorDir, "issued"))) {
		const box = name.replace(/\.json$/, "");
		const record = isBoxId(box) && (await readIssued(operatorDir, box));
		if (record && record.serial === serial) boxes.push(record.box);
	}
	return boxes;
}

async function refuse(others: readonly BoxId[]): Promise<void> {
	throw new LarderError(
		"REQUEST_INVALID",
		`that serial was given to box ${others.map(short).join(", ")}`,
	);
}

/** Puts a box on record: from then on it is the operator's. */
export async function writeIssued(
	{ dir }: Pick<Operator, "dir">,
	record: Issued,
): Promise<void> {
	const text = `${JSON.stringify(record)}\n`;
	await writeWhole(issuedPath(dir, record.box), text, PUBLIC);
}

/**
 * The headend's own membership, which is kept in keys/headend.json. Its key is made at the first call, its certificate whenever less
 * than two thirds of its lease are left or it does not hold any more. Throws OPERATOR_INVALID for a file that is damaged or open to
 * others.
 */
export async function issueHeadend(
	operator: Operator,
	now: Clock = Date.now,
): Promise<Membership> {
	const path = join(operator.dir, "keys", "headend.json");
	const kept = await readSecret(path);
	const read = kept && parseMessage(headendFile, kept);
	if (read?.ok === false)
		throw new LarderError("OPERATOR_INVALID", `${path}: ${read.detail}`);
	const pair =
		read === undefined
			? generateKeyPair()
			: keyPairFromSeed(Buffer.from(read.value.seed, "hex"));
	const box = pair.publicKey.toString("hex") as BoxId;
	const former = read?.value.certificate;
	if (former !== undefined && isFresh(operator, former, now()))
		return { box, pair, certificate: former };
	const { region } = operator;
	const member = { box, serial: "headend", region, role: "headend" } as const;
	const certificate = certifyMember(operator, member, leaseFrom(now()));
	await writeWhole(path, identityText(operator, { pair, certificate }), SECRET);
	return { box, pair, certificate };
}

function isFresh(operator: Operator, former: Envelope, now: Millis): boolean {
	// By a new issuer it is made anew: the old one is about to be retired.
	const { payload } = operator.signers.issuer.grant;
	if (former.grant.payload !== payload) return false;
	const trust = trustAt(operator.trust, now);
	const read = unsealParsed(former, "issuer", certificateOf, trust);
	if (!read.ok) return false;
	const left = read.value.notAfter - now;
	return left <= LEASE && left >= (2 / 3) * LEASE;
}

/** A new key, with all that its box is to know. */
async function newIdentity(operator: Operator, serial: string, now: Millis) {
	const { region, config } = operator;
	const { ca, authority } = await readPapers(operator);
	const pair = generateKeyPair();
	const box = pair.publicKey.toString("hex") as BoxId;
	const dates = leaseFrom(now);
	const member = { box, serial, region, role: "box" } as const;
	const text = identityText(operator, {
		pair,
		certificate: certifyMember(operator, member, dates),
		ca,
		chain: await certifyBox(authority, box, dates),
		...(config.enrol && { enrolUrl: config.enrol.url }),
		mandate: operator.keyring.mandate?.brief,
	});
	return { box, text };
}

function identityText(
	operator: Operator,
	{
		pair,
		...papers
	}: { readonly pair: KeyPair } & Pick<
		IdentityFile,
		"certificate" | "ca" | "chain" | "enrolUrl" | "mandate"
	>,
): string {
	return `${JSON.stringify(
		{
			v: 1,
			seed: pair.seed.toString("hex"),
			network: operator.network,
			region: operator.region,
			rootKey: operator.rootKey.toString("hex"),
			networkSecret: operator.networkSecret.toString("hex"),
			...papers,
		} satisfies IdentityFile,
		undefined,
		"\t",
	)}\n`;
}

/** Where the record of a box lies. */
export function issuedPath(operatorDir: string, box: BoxId): string {
	return join(operatorDir, "issued", `${box}.json`);
}
