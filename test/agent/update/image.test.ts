import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { writeIdentity } from "../../../src/agent/identity.ts";
import {
	checkImage,
	compareImage,
	trustOf,
	writeImage,
} from "../../../src/agent/update/image.ts";
import { silent } from "../../../src/base/log.ts";
import { DAY } from "../../../src/base/time.ts";
import { Heads } from "../../../src/control/heads.ts";
import { type Signer, seal } from "../../../src/wire/envelope.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import type { Release } from "../../../src/wire/release.ts";
import { Operator, REGION } from "../../control/operator.ts";

const operator = new Operator();
const { trust } = operator;
const root = Buffer.alloc(3 * 1024 * 1024 + 4096, "root");
const said: Release = {
	network: trust.network,
	version: "0.2.0",
	target: "image-arm64",
	minimum: "0.1.0",
	size: root.length,
	sha256: createHash("sha256").update(root).digest("hex"),
};

/** A slot with other bytes in it, and a way to make release files. */
async function open(t: Test) {
	const dir = t.testdir();
	const slot = join(dir, "slot");
	const before = Buffer.alloc(5 * 1024 * 1024, "before");
	await writeFile(slot, before);
	const path = join(dir, "image.release");
	const make = async (
		over: Partial<Release> = {},
		content = root,
		by: Signer = operator.signer("release"),
	) => {
		const line = Buffer.from("\n");
		const statement = seal(by, { ...said, ...over });
		await writeFile(path, Buffer.concat([statement, line, content]));
		return path;
	};
	return { slot, before, path, make };
}

t.test("an image is written onto a slot", async (t) => {
	const { slot, before, make } = await open(t);
	const path = await make();
	t.same(await writeImage(path, trust, "0.1.0", slot), said);
	const now = await readFile(slot);
	t.ok(root.equals(now.subarray(0, root.length)));
	t.ok(before.subarray(root.length).equals(now.subarray(root.length)));
	await compareImage(said, slot);
	now[1000] = 0;
	await writeFile(slot, now);
	await t.rejects(compareImage(said, slot), { code: "STORE_UNUSABLE" });
});

t.test("what is not the operator's or not whole touches none", async (t) => {
	const { slot, before, path, make } = await open(t);
	const refused = async (code: string, message: RegExp) => {
		const expected = { code, message };
		await t.rejects(checkImage(path, trust, "0.1.0"), expected);
		await t.rejects(writeImage(path, trust, "0.1.0", slot), expected);
		t.ok(before.equals(await readFile(slot)));
	};
	await make({}, root.subarray(1));
	await refused("RELEASE_INVALID", /not what was signed/);
	await make({}, Buffer.concat([root, Buffer.from("x")]));
	await refused("RELEASE_INVALID", /not what was signed/);
	const other = Buffer.from(root);
	other[5000] = 0;
	await make({}, other);
	await refused("RELEASE_INVALID", /not what was signed/);
	await make({}, root, new Operator().signer("release"));
	await refused("RELEASE_INVALID", /bad-signature|not signed/);
	await make({}, root, operator.signer("placement"));
	await refused("RELEASE_INVALID", /wrong-purpose/);
	await writeFile(path, root);
	await refused("RELEASE_INVALID", /begin with a statement/);
	await make({ network: new Operator().trust.network });
	await refused("RELEASE_INVALID", /another operator/);
	await make({ target: "linux-arm64" });
	await refused("UPDATE_REFUSED", /for linux-arm64/);
	await make({ version: "0.1.0" });
	await refused("UPDATE_REFUSED", /not newer/);
	await make({ minimum: "0.1.1" });
	await refused("UPDATE_REFUSED", /takes 0\.1\.1/);
});

t.test("what the box has heard of its operator's keys counts", async (t) => {
	const { path, make } = await open(t);
	await make();
	const data = dirname(path);
	await mkdir(join(data, "control"));
	const identity = join(data, "identity.json");
	const pair = generateKeyPair();
	const box = pair.publicKey.toString("hex") as BoxId;
	const { network } = trust;
	const dates = { notBefore: Date.now(), notAfter: Date.now() + DAY };
	const said = { network, region: REGION, box, role: "box", serial: "SN-1" };
	const certificate = seal(operator.signer("issuer"), { ...said, ...dates });
	await writeIdentity(identity, {
		v: 1,
		seed: pair.seed.toString("hex"),
		rootKey: Buffer.from(trust.rootKey).toString("hex"),
		networkSecret: "0".repeat(64),
		...{ network, region: REGION, certificate: JSON.parse(`${certificate}`) },
	});
	const check = async () =>
		checkImage(path, await trustOf({ identity, data }, silent), "0.1.0");
	t.match(await check(), { version: "0.2.0" });
	const heads = new Heads(
		join(data, "control", "head.json"),
		{ box, region: REGION, trust: { ...trust, minimum: new Map() } },
		() => 0,
		silent,
	);
	const mandate = { version: 1, minimum: { release: 2 }, purged: [] };
	t.same(heads.take(operator.parts(1, { mandate })).refused, []);
	await heads.close();
	await t.rejects(check(), { code: "RELEASE_INVALID", message: /retired-key/ });
});
