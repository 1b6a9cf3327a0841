import { DAY } from "../../../src/base/time.ts";
import {
	type Authority,
	certifyIssuer,
	certifyRoot,
	certifyServer,
	type IssuerPapers,
} from "../../../src/headend/tls/authority.ts";
import type { Dates } from "../../../src/headend/tls/x509.ts";
import {
	generateKeyPair,
	type KeyPair,
	privateKeyPem,
} from "../../../src/wire/keys.ts";

/** A network's authority for TLS, made for one test. */
export interface Papers extends IssuerPapers {
	readonly root: KeyPair;
	readonly ca: string;
	readonly authority: Authority;
}

/** @param at when it was made */
export async function newPapers(at = Date.now()): Promise<Papers> {
	return await nextPapers(generateKeyPair(), 1, at);
}

/** With an issuer of a root that is there already. @param serial of the root's grant for the issuer's key */
export async function nextPapers(
	root: KeyPair,
	serial: number,
	at = Date.now(),
): Promise<Papers> {
	const pair = generateKeyPair();
	const { publicKey } = pair;
	const papers = await certifyIssuer(root, { publicKey, serial }, at);
	const { intermediate } = papers;
	const ca = await certifyRoot(root, at);
	return { ...papers, root, ca, authority: { pair, intermediate } };
}

/** Valid from so many days from now until so many days from now. */
export function days(from: number, to: number): Dates {
	const now = Date.now();
	return { notBefore: now + from * DAY, notAfter: now + to * DAY };
}

/** A server's certificate and key, in PEM. */
export async function newServer(
	authority: Authority,
	dates = days(-1, 1),
	hosts: [string, ...string[]] = ["127.0.0.1"],
): Promise<{ cert: string; key: string }> {
	const pair = generateKeyPair();
	const { publicKey } = pair;
	const cert = await certifyServer(authority, { hosts, publicKey, ...dates });
	return { cert, key: privateKeyPem(pair) };
}
