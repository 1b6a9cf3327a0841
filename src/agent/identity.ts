import { open } from "node:fs/promises";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Clock } from "../base/time.ts";
import { KiB } from "../base/units.ts";
import {
	type Envelope,
	type Trust,
	trustIn,
	unsealParsed,
} from "../wire/envelope.ts";
import { type IdentityFile, identityFile } from "../wire/identity.ts";
import {
	type BoxId,
	boxId,
	instant,
	type NetworkId,
	type Region,
} from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { type KeyPair, keyPairFromSeed } from "../wire/keys.ts";
import { type Certificate, certificate } from "../wire/membership.ts";

const LARGEST = 64 * KiB;

/** Who this box is, and whom it trusts. */
export interface Identity {
	readonly keyPair: KeyPair;
	readonly boxId: BoxId;
	readonly network: NetworkId;
	readonly region: Region;
	readonly trust: Trust;
	/** 32 bytes. */
	readonly networkSecret: Buffer;
	readonly certificate: Certificate;
	/** The certificate as it is shown to neighbours. */
	readonly envelope: Envelope;
}

/**
 * Reads and checks the identity file. Dates are not judged: a receiver may start before it knows the time, and an
 * expired box must still be able to ask for renewal. Throws IDENTITY_MISSING or IDENTITY_INVALID.
 */
export async function readIdentity(
	path: string,
	now: Clock,
): Promise<Identity> {
	const parsed = parseMessage(identityFile, await readPrivate(path), LARGEST);
	if (!parsed.ok)
		throw invalid(path, `is no identity: ${parsed.reason}, ${parsed.detail}`);
	return check(path, parsed.value, now);
}

/** Mode and bytes are taken from the same open file. */
async function readPrivate(path: string): Promise<Buffer> {
	try {
		await using file = await open(path);
		const { mode } = await file.stat();
		if ((mode & 0o077) !== 0)
			throw invalid(
				path,
				`can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
			);
		return await file.readFile();
	} catch (cause) {
		if (cause instanceof LarderError) throw cause;
		if (systemCode(cause) === "ENOENT")
			throw new LarderError("IDENTITY_MISSING", `${path} does not exist`, {
				cause,
			});
		throw new LarderError("IDENTITY_INVALID", `${path} cannot be read`, {
			cause,
		});
	}
}

function check(path: string, file: IdentityFile, now: Clock): Identity {
	const keyPair = keyPairFromSeed(Buffer.from(file.seed, "hex"));
	const own = z.parse(boxId, keyPair.publicKey.toString("hex"));
	const trust = trustIn(Buffer.from(file.rootKey, "hex"), now);
	if (trust.network !== file.network)
		throw invalid(path, "names a network that its root key does not stand for");
	const issued = unsealParsed(
		file.certificate,
		"issuer",
		certificate,
		// Any moment of the grant will do, as long as the chain of signatures holds.
		trustIn(trust.rootKey, () => grantedFrom(file.certificate)),
	);
	if (!issued.ok)
		throw invalid(
			path,
			`has a certificate that does not hold: ${issued.reason}, ${issued.detail}`,
		);
	const { value } = issued;
	if (value.box !== own)
		throw invalid(path, "has a certificate for another key");
	if (value.network !== file.network)
		throw invalid(path, "has a certificate for another network");
	if (value.region !== file.region)
		throw invalid(path, `has a certificate for region ${value.region}`);
	if (value.role !== "box")
		throw invalid(path, `has a certificate for a ${value.role}`);
	return {
		keyPair,
		boxId: own,
		network: file.network,
		region: file.region,
		trust,
		networkSecret: Buffer.from(file.networkSecret, "hex"),
		certificate: value,
		envelope: file.certificate,
	};
}

function grantedFrom({ grant }: Envelope): number {
	const dates = parseMessage(
		z.object({ notBefore: instant }),
		Buffer.from(grant.payload, "base64"),
	);
	return dates.ok ? dates.value.notBefore : 0;
}

function invalid(path: string, problem: string): LarderError {
	return new LarderError("IDENTITY_INVALID", `${path} ${problem}`);
}
