import { DAY } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";
import { networkOf } from "../../wire/ids.ts";
import { issuerNumber } from "../../wire/issuer.ts";
import type { KeyPair } from "../../wire/keys.ts";
import {
	authorityExtensions,
	type CertificateRequest,
	certify,
	clientExtensions,
	type Dates,
	type Issuer,
	listRevoked,
	serverExtensions,
} from "./x509.ts";

const ROOT_LIFE: Millis = 30 * 365 * DAY;
const ISSUER_LIFE: Millis = 10 * 365 * DAY;
/** Certificates begin a little in the past, for clocks that run late. */
export const LEAD: Millis = DAY;

/** What the root says of an issuer, in PEM; nothing of it is secret. */
export interface IssuerPapers {
	/** The issuer's certificate, which travels behind every leaf. */
	readonly intermediate: string;
	/** The root's list of revoked issuers: some software wants one of every authority. */
	readonly crl: string;
}

/** The operator's authority for TLS: the issuer's key and its certificate. */
export interface Authority {
	readonly pair: KeyPair;
	/** PEM of the issuer's certificate. */
	readonly intermediate: string;
}

/** The root's own certificate, in PEM: all that boxes, broker and headend pin. Made once, by `larder init`. */
export async function certifyRoot(root: KeyPair, now: Millis): Promise<string> {
	const signer = rootOf(root);
	return await certify(signer, {
		name: signer.name,
		publicKey: root.publicKey,
		...datesFrom(now, ROOT_LIFE),
		extensions: authorityExtensions(1),
	});
}

/** An issuer's key, as the root knows it. */
export interface IssuerKey {
	/** 32 bytes. */
	readonly publicKey: Uint8Array;
	/** Of the root's grant: by it the key can be retired. */
	readonly serial: number;
}

/** Needs the root's key: called by `larder init`, and when the issuer's key is replaced. */
export async function certifyIssuer(
	root: KeyPair,
	{ publicKey, serial }: IssuerKey,
	now: Millis,
): Promise<IssuerPapers> {
	const signer = rootOf(root);
	return {
		intermediate: await certify(signer, {
			name: issuerName(publicKey),
			publicKey,
			number: issuerNumber(serial),
			...datesFrom(now, ISSUER_LIFE),
			extensions: authorityExtensions(0),
		}),
		crl: await listRevoked(signer, [], datesFrom(now, ROOT_LIFE)),
	};
}

/**
 * What a client shows to the broker: its certificate and the issuer's, in PEM. The broker takes `name` for the user's name.
 * @param publicKey 32 bytes; a box's own, a headend's fresh one
 */
export async function certifyClient(
	authority: Authority,
	client: Dates & { readonly name: string; readonly publicKey: Uint8Array },
): Promise<string> {
	return await certifyLeaf(authority, client, clientExtensions());
}

/** A box's certificate chain for TLS: its id is its name and its key. */
export async function certifyBox(
	authority: Authority,
	box: BoxId,
	dates: Dates,
): Promise<string> {
	const publicKey = Buffer.from(box, "hex");
	return await certifyClient(authority, { name: box, publicKey, ...dates });
}

/**
 * What a broker shows: its certificate and the issuer's, in PEM.
 * @param hosts names and IP addresses by which it is reached; the first is its common name
 */
export async function certifyServer(
	authority: Authority,
	server: Dates & {
		readonly hosts: readonly [string, ...string[]];
		readonly publicKey: Uint8Array;
	},
): Promise<string> {
	const [name] = server.hosts;
	const extensions = serverExtensions(server.hosts);
	return await certifyLeaf(authority, { ...server, name }, extensions);
}

/**
 * The issuer's list of revoked boxes, in PEM. It has as long to live as the issuer: a headend that is away for long must not keep
 * every box from the broker.
 */
export async function revokeBoxes(
	authority: Authority,
	boxes: readonly BoxId[],
	now: Millis,
): Promise<string> {
	const keys = boxes.map((box) => Buffer.from(box, "hex"));
	const dates = { notBefore: now, notAfter: now + ISSUER_LIFE };
	return await listRevoked(issuerOf(authority), keys, dates);
}

async function certifyLeaf(
	authority: Authority,
	leaf: Omit<CertificateRequest, "extensions">,
	extensions: CertificateRequest["extensions"],
): Promise<string> {
	const request = { ...leaf, extensions };
	return (await certify(issuerOf(authority), request)) + authority.intermediate;
}

function rootOf(root: KeyPair): Issuer {
	const network = networkOf(root.publicKey).slice(0, 16);
	return { name: `Larder ${network}`, pair: root };
}

function issuerOf({ pair }: Authority): Issuer {
	return { name: issuerName(pair.publicKey), pair };
}

/** Other issuers of the network have other names: TLS looks an issuer's revocation list up by its name. */
function issuerName(publicKey: Uint8Array): string {
	return `Larder issuer ${Buffer.from(publicKey).toString("hex").slice(0, 16)}`;
}

function datesFrom(now: Millis, life: Millis): Dates {
	return { notBefore: now - LEAD, notAfter: now + life };
}
