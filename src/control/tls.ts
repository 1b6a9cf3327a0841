import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { LarderError } from "../base/errors.ts";
import { bad, good, type Result } from "../base/result.ts";
import type { Millis } from "../base/units.ts";

/** What one attempt to connect believes and shows, all in PEM. */
export interface TlsAccess {
	/** The pinned authority; those that the system trusts unless set. */
	readonly ca?: string | undefined;
	/** The own certificate, with those between it and the authority behind it. */
	readonly cert?: string | undefined;
	readonly key?: string | undefined;
	/** For one whose clock is not to be believed: with it, and a pinned authority, dates are judged by this alone. */
	readonly time?: (() => Span) | undefined;
}

/** Now is not before `earliest` and not after `latest`, which is Infinity as long as nobody told. */
export interface Span {
	readonly earliest: Millis;
	readonly latest: Millis;
}

type Fault = Extract<Result<true>, { ok: false }>;

/** What OpenSSL says when nothing but the dates is wrong, or when that hides something worse. */
const DATE_FAULTS = ["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"];
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** Certificates between a server's own and the authority. */
const MAX_BETWEEN = 4;

/**
 * Begins to connect. Nothing that is written leaves before the server was verified: chain to the authority, host name or IP address,
 * and dates. A server that fails is hung up on, with an error that has a code. Throws for what is not PEM.
 */
export function openTls(
	host: string,
	port: number,
	{ ca, cert, key, time }: TlsAccess,
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
		const verdict = own ? judge(socket, host, ca, time()) : good(true);
		if (verdict.ok) socket.uncork();
		else socket.destroy(refusal(verdict));
	});
	return socket;
}

function judge(
	socket: TLSSocket,
	host: string,
	ca: string,
	time: Span,
): Result<true> {
	const fault = String(socket.authorizationError);
	if (!socket.authorized && !DATE_FAULTS.includes(fault))
		return bad("untrusted", fault);
	return verifyServer(presented(socket), { host, ca, time });
}

/**
 * Verifies a server without a clock: each signature up to a pinned authority, authorities being such, the server's purpose,
 * its name, and dates that may be right at some moment of `time`. It knows nothing of name constraints, path lengths and unknown
 * critical extensions: what an authority forbids the authorities below it.
 * @param chain as presented, the server's own first
 * @param pinned.ca one or more certificates in PEM
 */
export function verifyServer(
	chain: readonly X509Certificate[],
	pinned: { readonly host: string; readonly ca: string; readonly time: Span },
): Result<true> {
	const [leaf, ...between] = chain;
	if (leaf === undefined) return bad("untrusted", "no certificate was shown");
	const path = pathTo(readPem(pinned.ca), leaf, between);
	if (path === undefined)
		return bad("untrusted", "the pinned authority does not vouch for it");
	const { host, time } = pinned;
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
	const what = `not the operator's broker: ${reason}: ${detail}`;
	return new LarderError("BROKER_FAILED", what);
}
