// What the operator's authority makes, in the eyes of OpenSSL.
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { certifyBox, revokeBoxes } from "../../../src/headend/tls/authority.ts";
import { networkOf } from "../../../src/wire/ids.ts";
import { newBox } from "../../control/operator.ts";
import {
	days,
	newPapers,
	newServer,
	nextPapers,
	type Papers,
} from "./papers.ts";

const openssl = (...args: string[]) => promisify(execFile)("openssl", args);

/** `openssl verify` of a chain from the pinned root; rejects with what it says. */
async function verify(t: Test, ca: string, chain: string, ...args: string[]) {
	const dir = t.testdir({ "ca.pem": ca, "chain.pem": chain });
	const file = join(dir, "chain.pem");
	const trust = ["-CAfile", join(dir, "ca.pem"), "-untrusted", file];
	return await openssl("verify", "-x509_strict", ...trust, ...args, file);
}

t.test("the root vouches for itself and the issuer", async (t) => {
	const { root, ca, intermediate, authority } = await newPapers();
	await t.resolves(verify(t, ca, ca));
	await t.resolves(verify(t, ca, intermediate));
	const top = new X509Certificate(ca);
	const name = networkOf(root.publicKey).slice(0, 16);
	t.equal(top.subject, `CN=Larder ${name}`);
	t.ok(Date.parse(top.validTo) > Date.now() + 29 * 365 * 86_400_000);
	const { stdout } = await openssl(
		...["x509", "-noout", "-ext", "basicConstraints", "-in"],
		await written(t, intermediate),
	);
	t.match(stdout, /critical\s+CA:TRUE, pathlen:0/);
	t.not(authority.pair.publicKey, root.publicKey);
});

t.test("a box's certificate is of its own key and name", async (t) => {
	const { ca, authority } = await newPapers();
	const box = newBox();
	const chain = await certifyBox(authority, box, days(-1, 30));
	await t.resolves(verify(t, ca, chain, "-purpose", "sslclient"));
	await t.rejects(
		verify(t, ca, chain, "-purpose", "sslserver"),
		/unsuitable certificate purpose|unsupported certificate purpose/,
	);
	const leaf = new X509Certificate(chain);
	t.equal(leaf.subject, `CN=${box}`);
	const { x } = leaf.publicKey.export({ format: "jwk" });
	t.equal(Buffer.from(x ?? "", "base64url").toString("hex"), box);
	t.equal(leaf.ca, false);
	const stranger = await newPapers();
	await t.rejects(verify(t, stranger.ca, chain));
	const late = await certifyBox(authority, box, days(-30, -1));
	await t.rejects(verify(t, ca, late), /expired/);
});

t.test("a server is known by its names and addresses", async (t) => {
	const { ca, authority } = await newPapers();
	const { cert } = await newServer(authority, days(-1, 1), [
		...(["broker.example", "10.1.2.3", "fd00::1"] as const),
	]);
	for (const where of [
		["-verify_hostname", "broker.example"],
		["-verify_ip", "10.1.2.3"],
		["-verify_ip", "fd00::1"],
	])
		await t.resolves(verify(t, ca, cert, "-purpose", "sslserver", ...where));
	await t.rejects(verify(t, ca, cert, "-verify_hostname", "other.example"));
	await t.rejects(verify(t, ca, cert, "-purpose", "sslclient"));
});

t.test("a revoked box is on the issuer's list", async (t) => {
	const { ca, crl, authority } = await newPapers();
	const [gone, stays] = [newBox(), newBox()];
	const check = async (box: typeof gone, lists: string) => {
		const chain = await certifyBox(authority, box, days(-1, 30));
		const dir = t.testdir({ crl: lists });
		return await verifyIn(ca, chain, join(dir, "crl"));
	};
	const none = await revokeBoxes(authority, [], Date.now());
	const list = await revokeBoxes(authority, [gone], Date.now());
	await t.resolves(check(gone, crl + none));
	await t.resolves(check(stays, crl + list));
	await t.rejects(check(gone, crl + list), /certificate revoked/);
	await t.rejects(check(stays, list), /unable to get certificate CRL/);
});

t.test("issuers that follow one another serve the same root", async (t) => {
	const papers: Papers = await newPapers();
	const next = await nextPapers(papers.root, 2);
	const { authority } = next;
	const box = newBox();
	await t.resolves(
		verify(t, papers.ca, await certifyBox(authority, box, days(-1, 30))),
	);
	t.not(
		new X509Certificate(next.intermediate).subject,
		new X509Certificate(papers.intermediate).subject,
	);
});

/** Checks the whole chain against revocation lists. */
async function verifyIn(ca: string, chain: string, lists: string) {
	const [top, file] = [`${lists}-ca.pem`, `${lists}-chain.pem`];
	await writeFile(top, ca);
	await writeFile(file, chain);
	const trust = ["-CAfile", top, "-untrusted", file, "-CRLfile", lists];
	return await openssl("verify", "-crl_check_all", ...trust, file);
}

async function written(t: Test, text: string): Promise<string> {
	return join(t.testdir({ "one.pem": text }), "one.pem");
}
