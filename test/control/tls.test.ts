// Whom a box takes for its operator's broker, with and without knowing what time it is.
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { MqttSession } from "../../src/control/client.ts";
import {
	isOverCertificates,
	openTls,
	type Span,
	type TlsAccess,
} from "../../src/control/tls.ts";
import { certifyBox } from "../../src/headend/tls/authority.ts";
import {
	authorityExtensions,
	certify,
	clientExtensions,
	serverExtensions,
} from "../../src/headend/tls/x509.ts";
import { type BoxId, networkOf } from "../../src/wire/ids.ts";
import { issuerNumber, issuerSerial } from "../../src/wire/issuer.ts";
import {
	generateKeyPair,
	type KeyPair,
	privateKeyPem,
} from "../../src/wire/keys.ts";
import {
	days,
	newPapers,
	newServer,
	nextPapers,
	type Papers,
} from "../headend/tls/papers.ts";
import { Happenings, heard, newBox } from "./operator.ts";

interface Shown {
	readonly cert: string;
	readonly key: string;
}

/** A server that writes down every byte of the application's that reaches it. */
async function record(t: Test, { cert, key }: Shown) {
	const sockets = new Happenings<TLSSocket>();
	const ends = new Happenings<string>();
	const got: Buffer[] = [];
	const server = createServer({ cert, key }, (socket) => {
		socket.on("data", (bytes: Buffer) => got.push(bytes));
		socket.on("error", () => undefined);
		sockets.add(socket);
	});
	server.on("connection", (socket) => {
		socket.on("error", () => undefined);
		socket.on("close", () => ends.add("closed"));
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		for (const socket of sockets.all) socket.destroy();
		server.close();
	});
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error();
	return { port: address.port, ends, bytes: () => Buffer.concat(got) };
}

const HELLO = Buffer.from("an application's first words");
const EVER: Span = { earliest: 0, latest: Number.POSITIVE_INFINITY };
const today = (): Span => ({ earliest: Date.now(), latest: Date.now() });

/** Writes at once and hangs up; gives why it was refused, and what the server read. */
async function meet(
	t: Test,
	shown: Shown,
	access: TlsAccess,
	host = "127.0.0.1",
): Promise<{ refused: string | undefined; read: string }> {
	const server = await record(t, shown);
	const socket = openTls(host, server.port, access);
	let refused: string | undefined;
	socket.on("error", (error) => {
		refused = `${error.message} ${"code" in error ? error.code : ""}`;
	});
	socket.write(HELLO);
	// Which writes whatever is held back.
	socket.end();
	const closed = new Promise((resolve) => socket.once("close", resolve));
	await Promise.all([closed, server.ends.until(() => true)]);
	return { refused, read: server.bytes().toString() };
}

/** The same server to one who knows the time and to one who does not. */
async function both(t: Test, { ca }: Papers, shown: Shown, host?: string) {
	const known = await meet(t, shown, { ca, time: today }, host);
	const unknown = await meet(t, shown, { ca, time: () => EVER }, host);
	const clock = await meet(t, shown, { ca }, host);
	t.equal(known.refused === undefined, clock.refused === undefined);
	for (const { refused, read } of [known, unknown, clock])
		t.equal(read, refused === undefined ? HELLO.toString() : "");
	return { known: known.refused, unknown: unknown.refused };
}

t.test("the operator's broker is believed at any time", async (t) => {
	const papers = await newPapers();
	const server = await newServer(papers.authority);
	t.same(await both(t, papers, server), {
		known: undefined,
		unknown: undefined,
	});
	const named = await newServer(papers.authority, days(-1, 1), ["localhost"]);
	t.same(await both(t, papers, named, "localhost"), {
		known: undefined,
		unknown: undefined,
	});
});

t.test("dates may be wrong as long as nobody knows the time", async (t) => {
	const papers = await newPapers();
	for (const dates of [days(10, 20), days(-20, -10)]) {
		const server = await newServer(papers.authority, dates);
		const { known, unknown } = await both(t, papers, server);
		t.match(known, /(expired|not-yet-valid): CN=127.* BROKER_FAILED/);
		t.equal(unknown, undefined);
	}
});

t.test("what is known of the time counts", async (t) => {
	const now = Date.now();
	const { ca, authority } = await newPapers(now - 864e7);
	const later = { earliest: now + 864e7, latest: Number.POSITIVE_INFINITY };
	const sooner = { earliest: 0, latest: now - 864e7 };
	const good = await newServer(authority, days(-1, 30));
	const gone = await meet(t, good, { ca, time: () => later });
	t.match(gone, {
		refused: /expired: CN=127/,
		read: "",
	});
	const early = await meet(t, good, { ca, time: () => sooner });
	t.match(early, { refused: /not-yet-valid: CN=127/, read: "" });
	const past = await newServer(authority, days(-20, -10));
	const then = { earliest: now - 15 * 864e5, latest: now - 14 * 864e5 };
	const back = await meet(t, past, { ca, time: () => then });
	t.same(back, { refused: undefined, read: HELLO.toString() });
});

t.test("nobody else is believed, whatever the dates", async (t) => {
	const papers = await newPapers();
	const { authority } = papers;
	const stranger = await newPapers();
	const pair = generateKeyPair();
	const key = privateKeyPem(pair);
	const box = pair.publicKey.toString("hex") as BoxId;
	const issuer = { name: nameOfIssuer(papers), pair: authority.pair };
	const self = { name: "127.0.0.1", pair };
	for (const dates of [days(-1, 1), days(10, 20), days(-20, -10)]) {
		const signedBy = (issuer: typeof self, publicKey = pair.publicKey) =>
			certify(issuer, {
				...{ name: "127.0.0.1", publicKey, ...dates },
				extensions: serverExtensions(["127.0.0.1"]),
			});
		const cases: Record<string, Shown> = {
			"signed by itself": { cert: await signedBy(self), key },
			"signed by itself, the operator's authority behind it": {
				cert: (await signedBy(self)) + papers.intermediate + papers.ca,
				key,
			},
			"another authority": await newServer(stranger.authority, dates),
			"another authority of the same name": {
				cert:
					(await signedBy({
						name: nameOfIssuer(papers),
						pair: stranger.authority.pair,
					})) + papers.intermediate,
				key,
			},
			"another host": await newServer(authority, dates, ["127.0.0.2"]),
			"a box's certificate": {
				cert: await certifyBox(authority, box, dates),
				key,
			},
			"a client's certificate that has the host's name": {
				cert:
					(await certify(issuer, {
						...{ name: "127.0.0.1", publicKey: pair.publicKey, ...dates },
						extensions: [
							...clientExtensions(),
							...serverExtensions(["127.0.0.1"]).slice(-1),
						],
					})) + papers.intermediate,
				key,
			},
			"a forged signature": await newServer(authority, dates).then(
				({ cert, key }) => ({ cert: forged(cert) + papers.intermediate, key }),
			),
			"the operator's certificates behind one's own": {
				cert: (await signedBy(self)) + (await newServer(authority)).cert,
				key,
			},
		};
		for (const [name, shown] of Object.entries(cases))
			await t.test(
				`${name}: ${new Date(dates.notBefore).toJSON()}`,
				async (t) => {
					const { known, unknown } = await both(t, papers, shown);
					t.type(known, "string");
					t.type(unknown, "string");
				},
			);
	}
});

t.test("a leaf is no authority, even where it does not say so", async (t) => {
	const papers = await newPapers();
	const issuer = { name: nameOfIssuer(papers), pair: papers.authority.pair };
	const [pair, own] = [generateKeyPair(), generateKeyPair()];
	for (const dates of [days(-1, 1), days(10, 20)])
		for (const extensions of [serverExtensions(["127.0.0.1"]), []]) {
			const middle = await certify(issuer, {
				...{ name: "middle", publicKey: pair.publicKey, ...dates, extensions },
			});
			const leaf = await certify(
				{ name: "middle", pair },
				{
					...{ name: "127.0.0.1", publicKey: own.publicKey, ...dates },
					extensions: serverExtensions(["127.0.0.1"]),
				},
			);
			const cert = leaf + middle + papers.intermediate;
			const shown = { cert, key: privateKeyPem(own) };
			const { known, unknown } = await both(t, papers, shown);
			t.type(known, "string");
			t.type(unknown, "string");
		}
});

t.test("an issuer that was retired vouches for no server", async (t) => {
	const stolen = await newPapers();
	const { root, ca } = stolen;
	const next = await nextPapers(root, 7);
	const thief = generateKeyPair();
	const issuer = { name: nameOfIssuer(stolen), pair: stolen.authority.pair };
	/** What a thief of the old key makes of it: an authority that says it was never retired. */
	const intermediate = await certify(issuer, {
		...{ name: nameOf(thief), publicKey: thief.publicKey, ...days(10, 20) },
		...{ number: issuerNumber(9), extensions: authorityExtensions(0) },
	});
	const below = {
		pair: thief,
		intermediate: intermediate + stolen.intermediate,
	};
	for (const dates of [days(-1, 1), days(10, 20), days(-20, -10)]) {
		const old = await newServer(stolen.authority, dates);
		const servers = [old, await newServer(below, dates, ["127.0.0.1"])];
		const fresh = await newServer(next.authority, dates);
		const see = (shown: Shown, least: number) =>
			meet(t, shown, { ca, time: () => EVER, leastIssuer: () => least });
		for (const shown of servers)
			t.match(await see(shown, 7), {
				refused: /retired-key: CN=Larder issuer \w+ counts no more/,
				read: "",
			});
		t.equal((await see(old, 7)).refused?.includes("retired-key"), true);
		t.equal((await see(old, 1)).refused, undefined, "while it counts");
		t.equal((await see(fresh, 7)).refused, undefined);
	}
});

t.test("an issuer's number says which key it is of", (t) => {
	for (const serial of [0, 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
		t.match(issuerNumber(serial), /^4c[0-9a-f]{14}$/);
		t.equal(issuerSerial(issuerNumber(serial).toUpperCase()), serial);
	}
	for (const other of ["", "4C01", "7F".repeat(8), "4c".repeat(16)])
		t.equal(issuerSerial(other), 0);
	t.end();
});

t.test("an issuer without a number counts until any is retired", async (t) => {
	const { root, ca } = await newPapers();
	const pair = generateKeyPair();
	const intermediate = await certify(
		{ name: `Larder ${networkOf(root.publicKey).slice(0, 16)}`, pair: root },
		{
			...{ name: nameOf(pair), publicKey: pair.publicKey },
			...{ ...days(-1, 1), extensions: authorityExtensions(0) },
		},
	);
	const shown = await newServer({ pair, intermediate });
	const see = async (least: number) =>
		(await meet(t, shown, { ca, time: today, leastIssuer: () => least }))
			.refused;
	t.equal(await see(0), undefined);
	t.match(await see(1), /retired-key/);
});

t.test("what is over certificates, and what is not", async (t) => {
	for (const trouble of [
		"C0:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:ssl/record/rec_layer_s3.c:916:SSL alert number 48",
		"0A000414:SSL routines:ssl3_read_bytes:sslv3 alert certificate revoked",
		"not the operator's broker: expired: CN=127.0.0.1: 2026-01-01",
		"not the operator's broker: not-yet-valid: CN=127.0.0.1",
	])
		t.ok(isOverCertificates(trouble), trouble);
	for (const trouble of [
		"",
		"connect ECONNREFUSED 127.0.0.1:8883",
		"not the operator's broker: untrusted: SELF_SIGNED_CERT_IN_CHAIN",
		"not the operator's broker: retired-key: CN=x",
		"not the operator's broker: wrong-host: expired",
	])
		t.notOk(isOverCertificates(trouble), trouble);
});

t.test("MQTT's first packet waits for the verdict, too", async (t) => {
	const papers = await newPapers();
	const { cert, key } = await newServer(
		(await newPapers()).authority,
		days(10, 20),
	);
	const server = await record(t, { cert, key });
	const lines = new Happenings<string>();
	const session = new MqttSession({
		url: `mqtts://127.0.0.1:${server.port}`,
		clientId: newBox(),
		tls: () => ({ ca: papers.ca, time: () => EVER }),
		log: heard(lines),
		timing: { base: 20, cap: 100 },
	});
	t.teardown(() => session.close());
	session.start();
	await lines.until((line) => line.includes("does not vouch"));
	await server.ends.until(() => server.ends.all.length === 3);
	t.equal(server.bytes().byteLength, 0);
});

function nameOfIssuer({ authority }: Papers): string {
	return nameOf(authority.pair);
}

function nameOf({ publicKey }: KeyPair): string {
	return `Larder issuer ${publicKey.toString("hex").slice(0, 16)}`;
}

/** The first certificate of a chain, the last bit of its signature turned. */
function forged(chain: string): string {
	const der = Buffer.from(new X509Certificate(chain).raw);
	der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
	const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
	return [
		"-----BEGIN CERTIFICATE-----",
		...lines,
		"-----END CERTIFICATE-----\n",
	].join("\n");
}
