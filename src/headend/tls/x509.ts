import { createHash, createPrivateKey, type webcrypto } from "node:crypto";
import { isIP } from "node:net";
// The X.509 library wants it, and before itself.
import "reflect-metadata";
import {
	AuthorityKeyIdentifierExtension,
	BasicConstraintsExtension,
	ExtendedKeyUsage,
	ExtendedKeyUsageExtension,
	type Extension,
	type JsonName,
	KeyUsageFlags,
	KeyUsagesExtension,
	SubjectAlternativeNameExtension,
	SubjectKeyIdentifierExtension,
	X509CertificateGenerator,
	X509Crl,
	X509CrlGenerator,
} from "@peculiar/x509";
import type { Millis } from "../../base/units.ts";
import { type KeyPair, privateKeyPem, publicKeyInfo } from "../../wire/keys.ts";

const ED25519 = { name: "Ed25519" } as const;

/** From when until when, in Unix milliseconds; X.509 keeps whole seconds. */
export interface Dates {
	readonly notBefore: Millis;
	readonly notAfter: Millis;
}

/** Who signs, under which name. */
export interface Issuer {
	readonly name: string;
	readonly pair: KeyPair;
}

export interface CertificateRequest extends Dates {
	/** The common name. */
	readonly name: string;
	/** 32 bytes of the key that is certified. */
	readonly publicKey: Uint8Array;
	/** The serial number in hex digits, where it is not the one that follows from the key. */
	readonly number?: string;
	readonly extensions: readonly Extension[];
}

/** A certificate in PEM, signed with Ed25519. */
export async function certify(
	issuer: Issuer,
	request: CertificateRequest,
): Promise<string> {
	const subject = publicKeyInfo(request.publicKey);
	const authority = publicKeyInfo(issuer.pair.publicKey);
	const certificate = await X509CertificateGenerator.create({
		serialNumber: request.number ?? serialOf(request.publicKey),
		subject: nameOf(request.name),
		issuer: nameOf(issuer.name),
		notBefore: new Date(request.notBefore),
		notAfter: new Date(request.notAfter),
		publicKey: subject,
		signingKey: signingKey(issuer.pair),
		extensions: [
			...request.extensions,
			await SubjectKeyIdentifierExtension.create(subject),
			await AuthorityKeyIdentifierExtension.create(authority),
		],
	});
	return pem("CERTIFICATE", certificate.rawData);
}

/** What makes a certificate an authority's. @param below how many authorities may stand between it and a leaf */
export function authorityExtensions(below: number): Extension[] {
	const usages = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
	return [
		new BasicConstraintsExtension(true, below, true),
		new KeyUsagesExtension(usages, true),
	];
}

/** What makes a certificate a client's and nothing else. */
export function clientExtensions(): Extension[] {
	return leafExtensions(ExtendedKeyUsage.clientAuth);
}

/** What makes a certificate a server's and nothing else. @param hosts its names and IP addresses */
export function serverExtensions(hosts: readonly string[]): Extension[] {
	const names = hosts.map((value) => ({
		type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
		value,
	}));
	return [
		...leafExtensions(ExtendedKeyUsage.serverAuth),
		new SubjectAlternativeNameExtension(names),
	];
}

function leafExtensions(usage: ExtendedKeyUsage): Extension[] {
	return [
		new BasicConstraintsExtension(false, undefined, true),
		new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
		new ExtendedKeyUsageExtension([usage]),
	];
}

/**
 * A revocation list in PEM: the certificates of these keys, whichever they are.
 * @param revoked public keys of 32 bytes
 */
export async function listRevoked(
	issuer: Issuer,
	revoked: readonly Uint8Array[],
	{ notBefore, notAfter }: Dates,
): Promise<string> {
	const authority = publicKeyInfo(issuer.pair.publicKey);
	const list = await X509CrlGenerator.create({
		issuer: nameOf(issuer.name),
		thisUpdate: new Date(notBefore),
		nextUpdate: new Date(notAfter),
		entries: revoked.map((key) => ({
			serialNumber: serialOf(key),
			revocationDate: new Date(notBefore),
		})),
		signingAlgorithm: ED25519,
		signingKey: signingKey(issuer.pair),
		extensions: [await AuthorityKeyIdentifierExtension.create(authority)],
	});
	// The library's own word for it is one that OpenSSL does not know.
	return pem("X509 CRL", list.rawData);
}

/**
 * Of the revocation lists in one PEM text, those of issuers that another text has no list of.
 * @param since older ones are left out, in Unix milliseconds
 */
export function listsOfOthers(
	text: string,
	own: string,
	since: Millis,
): string {
	const ours = new Set(splitLists(own).map((it) => new X509Crl(it).issuer));
	return splitLists(text)
		.filter((block) => {
			const { issuer, thisUpdate } = new X509Crl(block);
			return !ours.has(issuer) && thisUpdate.getTime() >= since;
		})
		.join("");
}

/** The revocation lists in one PEM text, each for itself. */
export function splitLists(text: string): string[] {
	return (
		text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----\n/g) ?? []
	);
}

/**
 * The serial number of all certificates of one key but an issuer's, 32 hex digits. It follows from the key, so that nobody has to record what was
 * issued to revoke it; who may be revoked has a key of its own.
 */
function serialOf(publicKey: Uint8Array): string {
	const digest = createHash("sha256")
		.update("larder/x509-serial/1\0")
		.update(publicKey)
		.digest();
	// Positive, and without a leading zero, which DER has no place for.
	digest[0] = ((digest[0] ?? 0) & 0x3f) | 0x40;
	return digest.subarray(0, 16).toString("hex");
}

function nameOf(commonName: string): JsonName {
	return [{ CN: [commonName] }];
}

function signingKey(pair: KeyPair): webcrypto.CryptoKey {
	const key = createPrivateKey(privateKeyPem(pair));
	return key.toCryptoKey(ED25519, false, ["sign"]);
}

/** Ends with a line break, so that texts in PEM can be put behind one another. */
function pem(label: string, der: ArrayBuffer): string {
	const lines =
		Buffer.from(der)
			.toString("base64")
			.match(/.{1,64}/g) ?? [];
	return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
