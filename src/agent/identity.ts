import { open } from "node:fs/promises";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../base/errors.ts";
import { KiB } from "../base/units.ts";
import type { Papers } from "../wire/enrol.ts";
import type { Time } from "../wire/envelope.ts";
import {
	type Envelope,
	type Signed,
	type Trust,
	trustAt,
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
import { type KeyPair, keyPairFromSeed, privateKeyPem } from "../wire/keys.ts";
import { readMandate, retireBelow } from "../wire/mandate.ts";
import { type Certificate, certificate } from "../wire/membership.ts";
import { writePrivate } from "./private.ts";

const LARGEST = 64 * KiB;

/**
 * Who this box is, and whom it trusts. The membership in it is a lease: `renew` replaces it, on the disk and for whoever
 * asks from then on.
 */
export class Identity {
	readonly keyPair: KeyPair;
	readonly boxId: BoxId;
	readonly network: NetworkId;
	readonly region: Region;
	readonly trust: Trust;
	/** 32 bytes. */
	readonly networkSecret: Buffer;
	private readonly path: string;
	private file: IdentityFile;
	private issued: Certificate;

	constructor(path: string, file: IdentityFile, trust: Trust) {
		this.path = path;
		this.file = file;
		this.trust = trust;
		this.keyPair = keyPairFromSeed(Buffer.from(file.seed, "hex"));
		this.boxId = z.parse(boxId, this.keyPair.publicKey.toString("hex"));
		this.network = file.network;
		this.region = file.region;
		this.networkSecret = Buffer.from(file.networkSecret, "hex");
		// Then: a membership by a key that was retired since is no reason not to start, for the box has to ask for another.
		this.issued = this.check(file);
		if (file.mandate !== undefined) this.obey(file.mandate);
	}

	get certificate(): Certificate {
		return this.issued;
	}

	/** The certificate as it is shown to neighbours. */
	get envelope(): Envelope {
		return this.file.certificate;
	}

	/** PEM of the root's certificate, by which brokers are known; undefined for a box whose broker needs none. */
	get ca(): string | undefined {
		return this.file.ca;
	}

	/**
	 * Where a box whose lease has ended asks for another, the newest first. The first that it was ever told of stays among them: a thief
	 * of the issuer's key can name others.
	 */
	get enrolUrls(): readonly string[] {
		const { enrolUrl, newEnrolUrl } = this.file;
		return [newEnrolUrl, enrolUrl].filter((url) => url !== undefined);
	}

	/** What is shown to a broker, in PEM; undefined when nothing was issued for one. */
	get shown(): { readonly cert: string; readonly key: string } | undefined {
		const { chain } = this.file;
		return chain === undefined
			? undefined
			: { cert: chain, key: privateKeyPem(this.keyPair) };
	}

	/**
	 * Takes a newer lease for this box. Throws IDENTITY_INVALID for any other, STORE_UNUSABLE when it cannot be written; it holds until
	 * the agent ends all the same.
	 * @param mandate what the root said of issuers with it
	 */
	async renew(papers: Papers, mandate?: Signed): Promise<void> {
		const { certificate, chain } = papers;
		const { enrolUrl = papers.enrolUrl } = this.file;
		const told = papers.enrolUrl ?? this.file.newEnrolUrl;
		const file = {
			...this.file,
			...{ certificate, chain, enrolUrl },
			newEnrolUrl: told === enrolUrl ? undefined : told,
			...(mandate && { mandate }),
		};
		this.issued = this.check(file);
		this.file = file;
		await writeIdentity(this.path, file);
	}

	private obey(mandate: Signed): void {
		const said = readMandate(mandate, this.trust);
		if (!said.ok)
			throw invalid(
				this.path,
				`has a mandate that does not hold: ${said.detail}`,
			);
		retireBelow(this.trust, "issuer", said.value.minimum.issuer);
	}

	/** Dates are not judged: a receiver may start before it knows the time, and an expired box must be able to ask for renewal. */
	private check(file: IdentityFile): Certificate {
		const { path, trust } = this;
		if (trust.network !== file.network)
			throw invalid(
				path,
				"names a network that its root key does not stand for",
			);
		// Any moment of the grant will do, as long as the chain of signatures holds.
		const asOf = trustAt(trust, grantedFrom(file.certificate));
		const read = unsealParsed(file.certificate, "issuer", certificate, asOf);
		if (!read.ok)
			throw invalid(
				path,
				`has a certificate that does not hold: ${read.reason}, ${read.detail}`,
			);
		const { value } = read;
		if (value.box !== this.boxId)
			throw invalid(path, "has a certificate for another key");
		if (value.network !== file.network)
			throw invalid(path, "has a certificate for another network");
		if (value.region !== file.region)
			throw invalid(path, `has a certificate for region ${value.region}`);
		if (value.role !== "box")
			throw invalid(path, `has a certificate for a ${value.role}`);
		return value;
	}
}

/** Reads and checks the identity file. Throws IDENTITY_MISSING or IDENTITY_INVALID. */
export async function readIdentity(
	path: string,
	time: Time,
): Promise<Identity> {
	const parsed = parseMessage(identityFile, await readPrivate(path), LARGEST);
	if (!parsed.ok)
		throw invalid(path, `is no identity: ${parsed.reason}, ${parsed.detail}`);
	const rootKey = Buffer.from(parsed.value.rootKey, "hex");
	const trust = trustIn(rootKey, time.now, time.latest);
	return new Identity(path, parsed.value, trust);
}

/** Throws STORE_UNUSABLE. */
export async function writeIdentity(
	path: string,
	file: IdentityFile,
): Promise<void> {
	await writePrivate(path, `${JSON.stringify(file, undefined, "\t")}\n`);
}

/** Mode and bytes are taken from the same open file. Throws IDENTITY_MISSING or IDENTITY_INVALID. */
export async function readPrivate(path: string): Promise<Buffer> {
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
