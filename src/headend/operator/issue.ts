import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { type Clock, DAY } from "../../base/time.ts";
import { envelope, seal } from "../../wire/envelope.ts";
import type { IdentityFile } from "../../wire/identity.ts";
import { type BoxId, boxId, hex32, instant, region } from "../../wire/ids.ts";
import { encodeMessage, parseMessage } from "../../wire/json.ts";
import {
	generateKeyPair,
	type KeyPair,
	keyPairFromSeed,
} from "../../wire/keys.ts";
import type { Certificate, Role } from "../../wire/membership.ts";
import { type BoxSettings, boxConfig } from "./boxconfig.ts";
import { isVacant, PUBLIC, readIfThere, SECRET, writeWhole } from "./file.ts";
import type { Operator } from "./operator.ts";

const LIFE = 3653 * DAY;
const LEAD = DAY;

export interface IssueSettings extends BoxSettings {
	readonly serial: string;
	/** The new box's folder: absent or empty. */
	readonly dir: string;
}

const issued = z.object({
	box: boxId,
	serial: z.string(),
	region,
	issuedAt: instant,
});
/** The record that the operator keeps of a box; no secrets in it. */
export type Issued = z.output<typeof issued>;

/** A key pair with the certificate that lets it into the region. */
export interface Membership {
	readonly box: BoxId;
	readonly pair: KeyPair;
	/** The sealed certificate, exactly as it is to be shown. */
	readonly certificate: Buffer;
}

/**
 * Makes a box's folder: identity.json (its key, its certificate; only for that box) and larder.toml.
 * Throws CONFIG_INVALID when the folder is not empty or the serial is not 1 to 64 characters.
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
	const pair = generateKeyPair();
	const member = makeMember(operator, settings.serial, "box", pair, now());
	await mkdir(dirname(dir), { recursive: true });
	const draft = await mkdtemp(join(dirname(dir), `.${basename(dir)}-issue-`));
	try {
		await writeWhole(
			join(draft, "identity.json"),
			identityText(operator, member),
			SECRET,
		);
		await writeWhole(
			join(draft, "larder.toml"),
			boxConfig(operator.config, settings),
			PUBLIC,
		);
		// Recorded first: a box that is known and never shipped does no harm, the other way round it would be a stranger.
		await writeWhole(
			issuedPath(operator.dir, member.box),
			`${JSON.stringify({
				box: member.box,
				serial: settings.serial,
				region: operator.region,
				issuedAt: now(),
			} satisfies Issued)}\n`,
			PUBLIC,
		);
		await rename(draft, dir);
	} finally {
		await rm(draft, { recursive: true, force: true });
	}
	return member.box;
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

/** The headend's own membership, kept in keys/headend.json: made at the first call, and anew by a new issuer. */
export async function issueHeadend(
	operator: Operator,
	now: Clock = Date.now,
): Promise<Membership> {
	const path = join(operator.dir, "keys", "headend.json");
	const kept = await readIfThere(path);
	const make = async (pair: KeyPair) => {
		const member = makeMember(operator, "headend", "headend", pair, now());
		await writeWhole(path, identityText(operator, member), SECRET);
		return member;
	};
	if (kept === undefined) return await make(generateKeyPair());
	const read = parseMessage(
		z.object({ seed: hex32, certificate: envelope }),
		kept,
	);
	if (!read.ok)
		throw new LarderError("OPERATOR_INVALID", `${path}: ${read.detail}`);
	const pair = keyPairFromSeed(Buffer.from(read.value.seed, "hex"));
	const { grant } = read.value.certificate;
	if (grant.payload !== operator.signers.issuer.grant.payload)
		return await make(pair);
	return {
		box: pair.publicKey.toString("hex") as BoxId,
		pair,
		certificate: encodeMessage(read.value.certificate),
	};
}

function makeMember(
	operator: Operator,
	serial: string,
	role: Role,
	pair: KeyPair,
	at: number,
): Membership {
	if (serial.length < 1 || serial.length > 64) {
		throw new LarderError("CONFIG_INVALID", "a serial has 1 to 64 characters");
	}
	const box = pair.publicKey.toString("hex") as BoxId;
	const certificate = seal(operator.signers.issuer, {
		network: operator.network,
		region: operator.region,
		box,
		role,
		serial,
		notBefore: Math.max(0, at - LEAD),
		notAfter: at + LIFE,
	} satisfies Certificate);
	return { box, pair, certificate };
}

function identityText(operator: Operator, member: Membership): string {
	return `${JSON.stringify(
		{
			v: 1,
			seed: member.pair.seed.toString("hex"),
			network: operator.network,
			region: operator.region,
			rootKey: operator.rootKey.toString("hex"),
			networkSecret: operator.networkSecret.toString("hex"),
			certificate: JSON.parse(member.certificate.toString("utf8")),
		} satisfies IdentityFile,
		undefined,
		"\t",
	)}\n`;
}

/** Where the record of a box lies. */
export function issuedPath(operatorDir: string, box: BoxId): string {
	return join(operatorDir, "issued", `${box}.json`);
}
