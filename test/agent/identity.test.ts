import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { readIdentity } from "../../src/agent/identity.ts";
import { DAY } from "../../src/base/time.ts";
import { stillCounts } from "../../src/control/verify.ts";
import {
	grantKey,
	type Purpose,
	seal,
	timeOf,
} from "../../src/wire/envelope.ts";
import { networkOf } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { signMandate } from "../../src/wire/mandate.ts";

const NOW = Date.UTC(2026, 5, 1);
const root = generateKeyPair();
const box = generateKeyPair();
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function certificate(changes: object = {}, purpose: Purpose = "issuer") {
	const pair = generateKeyPair();
	const grant = grantKey(root, {
		purpose,
		key: hex(pair.publicKey),
		serial: 1,
		notBefore: NOW,
		notAfter: NOW + DAY,
	});
	const statement = {
		network: networkOf(root.publicKey),
		region: "north-1",
		box: hex(box.publicKey),
		role: "box",
		serial: "0001",
		notBefore: NOW - DAY,
		notAfter: NOW + DAY,
		...changes,
	};
	return JSON.parse(seal({ purpose, pair, grant }, statement).toString());
}

function identity(changes: object = {}) {
	return {
		v: 1,
		seed: hex(box.seed),
		network: networkOf(root.publicKey),
		region: "north-1",
		rootKey: hex(root.publicKey),
		networkSecret: "ab".repeat(32),
		certificate: certificate(),
		...changes,
	};
}

async function file(test: Test, content: unknown, mode = 0o600) {
	const path = join(test.testdir(), "identity.json");
	await writeFile(
		path,
		typeof content === "string" ? content : JSON.stringify(content),
	);
	await chmod(path, mode);
	return path;
}

t.test("who the box is, even when the clock is wrong", async (t) => {
	const path = await file(t, identity());
	for (const now of [0, NOW, NOW + 1000 * DAY]) {
		const read = await readIdentity(
			path,
			timeOf(() => now),
		);
		t.equal(read.boxId, hex(box.publicKey));
		t.same(read.keyPair, box);
		t.equal(read.network, networkOf(root.publicKey));
		t.equal(read.region, "north-1");
		t.equal(read.networkSecret.length, 32);
		t.equal(read.certificate.notAfter, NOW + DAY);
		t.equal(read.trust.now(), now);
	}
});

t.test(
	"refuses a file that others can read, and says how to mend it",
	async (t) => {
		for (const mode of [0o640, 0o604, 0o620]) {
			const path = await file(t, identity(), mode);
			await t.rejects(
				readIdentity(
					path,
					timeOf(() => NOW),
				),
				{ code: "IDENTITY_INVALID", message: `chmod 600 ${path}` },
			);
		}
	},
);

t.test("refuses what is missing, damaged or foreign", async (t) => {
	const stranger = generateKeyPair();
	await t.rejects(
		readIdentity(
			join(t.testdir(), "none.json"),
			timeOf(() => NOW),
		),
		{ code: "IDENTITY_MISSING" },
	);
	const tampered = certificate();
	tampered.payload = Buffer.from(
		Buffer.from(tampered.payload, "base64")
			.toString()
			.replace("north-1", "south-1"),
	).toString("base64");
	for (const [content, message] of [
		["", /no identity: not-json/],
		["{}", /no identity: bad-schema, .*seed/],
		[identity({ v: 2 }), /bad-schema, v:/],
		[identity({ seed: hex(stranger.seed) }), /for another key/],
		[identity({ region: "south-1" }), /for region north-1/],
		[identity({ network: "cd".repeat(32) }), /root key does not stand for/],
		[
			identity({
				rootKey: hex(stranger.publicKey),
				network: networkOf(stranger.publicKey),
			}),
			/bad-signature/,
		],
		[identity({ certificate: tampered }), /bad-signature/],
		[identity({ certificate: certificate({}, "catalog") }), /wrong-purpose/],
		[
			identity({ certificate: certificate({ network: "cd".repeat(32) }) }),
			/another network/,
		],
		[
			identity({ certificate: certificate({ role: "headend" }) }),
			/for a headend/,
		],
	] as const) {
		const path = await file(t, content);
		await t.rejects(
			readIdentity(
				path,
				timeOf(() => NOW),
			),
			{ code: "IDENTITY_INVALID", message },
			String(message),
		);
	}
});

t.test("a key that was retired since is no reason not to start", async (t) => {
	const mandate = signMandate(root, {
		...{ version: 1, minimum: { issuer: 2, revoke: 2 }, purged: [] },
	});
	const path = await file(t, identity({ mandate }));
	const time = timeOf(() => NOW);
	const read = await readIdentity(path, time);
	t.equal(read.trust.minimum.get("issuer"), 2);
	t.equal(read.trust.minimum.get("revoke"), undefined, "the head's to bring");
	t.notOk(stillCounts(read.envelope, read.trust), "but it has to be renewed");
	const { region } = read;
	const papers = { region, chain: "", secret: "", certificate: certificate() };
	await t.rejects(read.renew(papers), { message: /retired-key/ });
	const stranger = signMandate(generateKeyPair(), {
		...{ version: 1, minimum: {}, purged: [] },
	});
	await t.rejects(
		readIdentity(await file(t, identity({ mandate: stranger })), time),
		{ code: "IDENTITY_INVALID", message: /mandate that does not hold/ },
	);
});
