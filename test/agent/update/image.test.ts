import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
	checkImage,
	compareImage,
	writeImage,
} from "../../../src/agent/update/image.ts";
import { type Signer, seal } from "../../../src/wire/envelope.ts";
import type { Release } from "../../../src/wire/release.ts";
import { Operator } from "../../control/operator.ts";

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
