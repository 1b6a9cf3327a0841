import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { LarderError } from "../base/errors.ts";
import { bad, good, type Result } from "../base/result.ts";
import type { Millis } from "../base/units.ts";
import { issuerSerial } from "../wire/issuer.ts";

/** What one attempt to connect believes and shows, all in PEM. */
export interface TlsAccess {
	/** The pinned authority; those that the system trusts unless set. */
	readonly ca?: string | undefined;
	/** The own certificate, with those between it and the authority behind it. */
	readonly cert?: string | undefined;
	readonly key?: string | undefined;
	/** For one whose clock is not to be believed: with it, and a pinned authority, dates are judged by this alone. */
	readonly time?: (() => Span) | undefined;
	/** Beside `time`: the operator's issuer keys with a lower serial vouch for nobody. */
	readonly leastIssuer?: (() => number) | undefined;
}

/** Now is not before `earliest` and not after `latest`, which is Infinity as long as nobody told. */
export interface Span {
	readonly earliest: Millis;
	readonly latest: Millis;
}

/** As if nobody had ever told the time: no date is wrong. */
export const ANY_TIME: Span = { earliest: 0, latest: Number.POSITIVE_INFINITY };

type Fault = Extract<Result<true>, { ok: false }>;

/** What OpenSSL says when nothing but the dates is wrong, or when that hides something worse. */
const DATE_FAULTS = ["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"];
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** How our own verdict begins where it becomes an error. */
const FOREIGN = "not the operator's broker";
/** Certificates between a server's own and the authority. */
const MAX_BETWEEN = 4;

/**
 * Begins to connect. Nothing that is written leaves before the server was verified: chain to the authority, host name or IP address,
 * and dates. A server that fails is hung up on, with an error that has a code. Throws for what is not PEM.
 */
export function openTls(
	host: string,
	port: number,
	{ ca, cert, key, time, leastIssuer = () => 0 }: TlsAccess,
): TLSSocket {
	const own = ca !== undefined && time !== undefined;
	const socket = connect({
		host,
		port,
		minVersion: "TLSv1.2",
		rejectUnauthorized: !own,
		...(isIP(host) === 0 && { servername: host }),
		...(ca !== undefined && { ca }),
		...(cert !== undefined && { cert }),
		...(key !== undefined && { key }),
	});
	// Node judges before it sends, too; that nothing leaves shall not rest on it.
	socket.cork();
	socket.once("secureConnect", () => {
		// `authorized` is an accident of the clock where dates are ours to judge.
		const verdict = own
			? judge(socket, { host, ca, time: time(), leastIssuer: leastIssuer() })
			: good(true);
		if (verdict.ok) socket.uncork();
		else socket.destroy(refusal(verdict));
	});
	return socket;
}

/**
 * Whether the certificates are why there is no connection: ours was refused by the other side, or the dates of its own do not fit
 * what is known of the time. @param trouble as the error said that ended the attempt
 */
export function isOverCertificates(trouble: string): boolean {
	// OpenSSL names what the other side says an alert.
	if (/ alert /.test(trouble)) return true;
	const [what, reason = ""] = trouble.split(": ");
	return what === FOREIGN && ["expired", "not-yet-valid"].includes(reason);
}

function judge(socket: TLSSocket, pinned: Pinned): Result<true> {
	const fault = String(socket.authorizationError);
	if (!socket.authorized && !DATE_FAULTS.includes(fault))
		return bad("untrusted", fault);
	return verifyServer(presented(socket), pinned);
}

/** What a server is held to. */
interface Pinned {
	readonly host: string;
	/** One or more certificates in PEM. */
	readonly ca: string;
	readonly time: Span;
	/** Who is vouched for by an issuer with a lower serial is not believed. */
	readonly leastIssuer: number;
}

/**
 * Verifies a server without a clock: each signature up to a pinned authority, authorities being such, the server's purpose,
 * its name, an issuer that still counts, and dates that may be right at some moment of `time`. It knows nothing of name constraints,
 * path lengths and unknown critical extensions: what an authority forbids the authorities below it.
 * @param chain as presented, the server's own first
 */
export function verifyServer(
	chain: readonly X509Certificate[],
	pinned: Pinned,
): Result<true> {
	const [leaf, ...between] = chain;
	if (leaf === undefined) return bad("untrusted", "no certificate was shown");
	const path = pathTo(readPem(pinned.ca), leaf, between);
	if (path === undefined)
		return bad("untrusted", "the pinned authority does not vouch for it");
	const { host, time, leastIssuer } = pinned;
	// The one below the authority: what stands below that one is its word.
	const issuer = path.at(-2) ?? leaf;
	if (issuerSerial(issuer.serialNumber) < leastIssuer)
		return bad("retired-key", `${issuer.subject} counts no more`);
	if (
		(isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) === undefined
	)
		return bad("wrong-host", `it is not for ${host}`);
	// Node calls the extended usages so; without any, all are allowed.
	if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes(SERVER_AUTH))
		return bad("wrong-purpose", "it is not for a server");
	for (const { subject, validFromDate, validToDate } of path) {
		if (time.latest < validFromDate.getTime())
			return bad("not-yet-valid", `${subject}: ${validFromDate.toISOString()}`);
		if (time.earliest >= validToDate.getTime())
			return bad("expired", `${subject}: ${validToDate.toISOString()}`);
	}
	return good(true);
}

/** From a certificate up to an authority that vouches for it, both included; undefined when none does. */
function pathTo(
	authorities: readonly X509Certificate[],
	from: X509Certificate,
	between: readonly X509Certificate[],
): X509Certificate[] | undefined {
	const top = authorities.find((one) => vouches(one, from));
	if (top !== undefined) return [from, top];
	for (const next of between) {
		if (!vouches(next, from)) continue;
		const rest = between.filter((one) => one !== next);
		const path = pathTo(authorities, next, rest);
		if (path !== undefined) return [from, ...path];
	}
	return undefined;
}

function vouches(issuer: X509Certificate, subject: X509Certificate): boolean {
	return (
		issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
	);
}

/** What the server sent, its own certificate first. */
function presented(socket: TLSSocket): X509Certificate[] {
	const chain: X509Certificate[] = [];
	let next = socket.getPeerX509Certificate();
	while (next !== undefined && chain.length <= MAX_BETWEEN) {
		chain.push(next);
		next = next.issuerCertificate;
	}
	return chain;
}

function readPem(text: string): X509Certificate[] {
	const blocks = text.match(
		/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
	);
	return (blocks ?? []).map((block) => new X509Certificate(block));
}

function refusal({ reason, detail }: Fault): LarderError {
	const what = `${FOREIGN}: ${reason}: ${detail}`;
	return new LarderError("BROKER_FAILED", what);
}
