import { spawn } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import {
	chmod,
	cp,
	mkdir,
	readdir,
	readFile,
	rename,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import * as z from "zod/mini";
import { DAY } from "../../src/base/time.ts";
import { keyText, readKey } from "../../src/headend/operator/keyfile.ts";
import { ONLINE } from "../../src/headend/operator/keyring.ts";
import { lockOperator } from "../../src/headend/operator/lock.ts";
import {
	initOperator,
	openOperator,
} from "../../src/headend/operator/operator.ts";
import {
	cosignPurges,
	retireKeys,
	rotateKey,
} from "../../src/headend/operator/rotate.ts";
import { readPapers } from "../../src/headend/tls/keys.ts";
import { PURPOSES, seal, trustIn, unseal } from "../../src/wire/envelope.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { privateKeyPem } from "../../src/wire/keys.ts";
import { readMandate } from "../../src/wire/mandate.ts";
import { region } from "./fixture.ts";

const anything = z.object({});
const none = { force: false, countOld: async () => 0 };

/** A new operator whose root lies on a stick, and what its keys were. */
async function rig(t: Test) {
	const folder = t.testdir({ stick: {} });
	const dir = join(folder, "operator");
	const root = join(folder, "stick", "root.json");
	const operator = await initOperator(dir, { region, root });
	return { dir, root, operator, keys: join(dir, "keys") };
}

/** All bytes below a folder. */
async function everything(folder: string): Promise<string> {
	let all = "";
	for (const entry of await readdir(folder, {
		recursive: true,
		withFileTypes: true,
	}))
		if (entry.isFile())
			all += await readFile(join(entry.parentPath, entry.name), "latin1");
	return all;
}

t.test(
	"each key is replaced, and nothing is left of the old one",
	async (t) => {
		const { dir, root, operator } = await rig(t);
		for (const purpose of ONLINE) {
			const { pair, grant, granted } = operator.signers[purpose];
			const key = await rotateKey(operator, purpose, root);
			t.ok(key.granted.serial > granted.serial, purpose);
			t.notOk(key.pair.publicKey.equals(pair.publicKey));
			const again = await openOperator(dir);
			t.same(again.signers[purpose], key);
			t.same(again.signers[purpose].earlier, [grant]);
			t.notOk((await everything(dir)).includes(pair.seed.toString("hex")));
			const bytes = seal(again.signers[purpose], {});
			t.ok(unseal(bytes, purpose, anything, operator.trust).ok);
			const others = ONLINE.filter((other) => other !== purpose);
			for (const other of others)
				t.same(again.signers[other].pair, operator.signers[other].pair);
			await operator.keyring.reread();
			t.same(operator.signers[purpose], key, "also where it was open already");
		}
		const release = join(dir, "../stick/release.json");
		const before = await readKey(release, "release");
		await rotateKey(operator, "release", root);
		t.same((await readKey(release, "release")).earlier, [before.grant]);
		t.same((await readdir(join(dir, "../stick"))).sort(), [
			"release.json",
			"root.json",
		]);
	},
);

t.test("an issuer brings its certificate", async (t) => {
	const { dir, root, operator } = await rig(t);
	const before = await readPapers(operator);
	const { pair } = await rotateKey(operator, "issuer", root);
	const { ca, authority } = await readPapers(await openOperator(dir));
	t.equal(ca, before.ca, "nobody has to hear of another authority");
	const own = new X509Certificate(authority.intermediate);
	t.ok(own.verify(new X509Certificate(ca).publicKey));
	t.ok(own.checkPrivateKey(createPrivateKey(privateKeyPem(pair))));
});

t.test("serials follow the clock, and never fall with it", async (t) => {
	const { operator, root } = await rig(t);
	const { serial } = operator.signers.revoke.granted;
	const first = await rotateKey(operator, "revoke", root, () => 0);
	t.equal(first.granted.serial, serial + 1);
	const later = Date.now() + 900 * DAY;
	const second = await rotateKey(operator, "revoke", root, () => later);
	t.equal(second.granted.serial, Math.floor(later / 1000));
	t.equal(second.earlier.length, 2);
});

t.test("what the power cuts short is nothing or all", async (t) => {
	const { dir, root, operator, keys } = await rig(t);
	const old = operator.signers.placement;
	const draft = join(keys, ".draft-000000");
	const key = await rotateKey(operator, "placement", root);
	const file = join(keys, "placement.json");
	const back = () => writeFile(file, keyText(old), { mode: 0o600 });

	await t.test("before it counts", async (t) => {
		await back();
		await mkdir(draft);
		await writeFile(join(draft, "placement.json"), keyText(key));
		t.same((await openOperator(dir)).signers.placement, old);
		await rotateKey(operator, "catalog", root);
		t.notOk((await readdir(keys)).some((name) => name.startsWith(".draft")));
	});
	await t.test("when it counts and is not in its place", async (t) => {
		await back();
		await mkdir(draft);
		const next = join(draft, "placement.json");
		await writeFile(next, keyText(key), { mode: 0o600 });
		await rename(draft, join(keys, "next"));
		// Whoever opens it first finishes it, many at a time, too.
		const opened = await Promise.all([1, 2, 3].map(() => openOperator(dir)));
		for (const { signers } of opened) t.same(signers.placement, key);
		t.notOk((await readdir(keys)).includes("next"));
	});
	await t.test("when all is in its place", async (t) => {
		await mkdir(join(keys, "next"));
		t.same((await openOperator(dir)).signers.placement, key);
		t.notOk((await readdir(keys)).includes("next"));
	});
});

t.test("killed at any moment, there is one whole key", async (t) => {
	const { dir, root, keys } = await rig(t);
	const script = `
		import { openOperator } from "${import.meta.dirname}/../../src/headend/operator/operator.ts";
		import { rotateKey } from "${import.meta.dirname}/../../src/headend/operator/rotate.ts";
		const operator = await openOperator(${JSON.stringify(dir)});
		console.log("ready");
		for (;;) await rotateKey(operator, "issuer", ${JSON.stringify(root)});
	`;
	let serial = 0;
	for (let round = 0; round < 4; round++) {
		const child = spawn(
			process.execPath,
			["--input-type=module-typescript", "-e", script],
			{ stdio: ["ignore", "pipe", "inherit"] },
		);
		await once(child.stdout, "data");
		// However far it comes in a few turns of the loop.
		for (let turn = 0; turn < 20 * round; turn++) await readdir(keys);
		child.kill("SIGKILL");
		await once(child, "exit");
		const { signers, trust } = await openOperator(dir);
		const { granted } = signers.issuer;
		t.ok(granted.serial >= serial, `${signers.issuer.earlier.length} before`);
		serial = granted.serial;
		t.ok(unseal(seal(signers.issuer, {}), "issuer", anything, trust).ok);
	}
});

t.test("earlier keys are retired by the root's word", async (t) => {
	const { dir, root, operator, keys } = await rig(t);
	const old = operator.signers.placement;
	const bytes = seal(old, {});
	await rotateKey(operator, "placement", root);
	const look = async () => {
		const { trust } = await openOperator(dir);
		const read = unseal(bytes, "placement", anything, trust);
		return read.ok ? "ok" : read.reason;
	};
	t.equal(await look(), "ok", "until then both count");
	await t.rejects(
		retireKeys(operator, "placement", root, {
			force: false,
			countOld: async () => 3,
		}),
		{ code: "COMMAND_FAILED", message: /3 papers in force/ },
	);
	t.notOk((await readdir(keys)).includes("mandate.json"));
	const said = await retireKeys(operator, "placement", root, none);
	t.equal(await look(), "retired-key");
	const { mandate, trust } = await openOperator(dir);
	t.same(mandate && readMandate(mandate, trust), { ok: true, value: said });
	await operator.keyring.reread();
	t.same(operator.mandate, mandate);

	const next = await retireKeys(operator, "release", root, {
		force: true,
		countOld: async () => 3,
	});
	t.ok(next.version > said.version);
	t.match(next.minimum, said.minimum, "what was said before stays said");
	const titles = ["a", "b"].map((name) => name.repeat(64) as TitleId);
	await cosignPurges(operator, titles.slice(0, 1), root);
	const last = await cosignPurges(operator, titles, root);
	t.same(last.purged, titles);
	t.same(last.minimum, next.minimum);
	t.equal(Object.keys(last.minimum).length, 2);

	await operator.keyring.reread();
	const { signed, brief } = operator.keyring.mandate ?? {};
	if (!signed || !brief) throw new Error("no mandate");
	t.same(readMandate(signed, trust), { ok: true, value: last });
	t.same(
		readMandate(brief, trust),
		{ ok: true, value: { ...last, purged: [], version: last.version - 1 } },
		"briefly, and the whole comes after it",
	);
});

t.test("only with the right root, and by one at a time", async (t) => {
	const { dir, root, operator, keys } = await rig(t);
	const other = await rig(t);
	const tries: ((file: string) => Promise<unknown>)[] = [
		(file: string) => rotateKey(operator, "issuer", file),
		(file: string) => retireKeys(operator, "issuer", file, none),
		(file: string) => cosignPurges(operator, [], file),
	];
	const before = await everything(dir);
	const stranger = join(dir, "..", "other.json");
	const halves = join(dir, "..", "halves.json");
	const mine = JSON.parse(await readFile(root, "utf8"));
	const theirs = operator.signers.issuer.pair.seed.toString("hex");
	const files: [file: string, text: string, why: RegExp][] = [
		[stranger, keyText(other.operator.signers.issuer), /another network/],
		[halves, JSON.stringify({ ...mine, seed: theirs }), /two halves/],
		[halves, `{"seed": ${mine.seed}}`, /halves\.json: \d+ bytes$/],
		[join(dir, "..", "nowhere.json"), "", /nowhere\.json/],
	];
	for (const [file, text, why] of files) {
		if (text !== "") await writeFile(file, text, { mode: 0o600 });
		for (const attempt of tries) {
			const error = await attempt(file).then(
				() => new Error("was let"),
				(error: Error) => error,
			);
			t.match(error, { code: "OPERATOR_INVALID", message: why });
			t.notOk(error.message.includes(mine.seed.slice(4, 20)));
		}
	}
	await chmod(root, 0o644);
	for (const attempt of tries)
		await t.rejects(attempt(root), { message: /chmod 600/ });
	await chmod(root, 0o600);
	const lock = await lockOperator(keys);
	for (const attempt of tries)
		await t.rejects(attempt(root), { code: "OPERATOR_BUSY" });
	await lock.close();
	t.equal(await everything(dir), before);
});

t.test("a damaged mandate is named, one of another network too", async (t) => {
	const { dir, root, operator, keys } = await rig(t);
	const path = join(keys, "mandate.json");
	await cosignPurges(operator, [], root);
	await cp(path, `${path}.good`);
	const good = JSON.parse(await readFile(path, "utf8"));
	for (const text of [
		"{",
		JSON.stringify({ ...good, signature: "" }),
		JSON.stringify({ ...good, payload: good.signature }),
	]) {
		await writeFile(path, text);
		await t.rejects(openOperator(dir), {
			code: "OPERATOR_INVALID",
			message: /mandate\.json/,
		});
		await t.rejects(operator.keyring.reread(), { code: "OPERATOR_INVALID" });
		t.ok(operator.signers.issuer, "what was read before stays");
	}
});

t.test("every purpose can be told from the others by its file", async (t) => {
	const { root, operator, keys } = await rig(t);
	for (const purpose of PURPOSES) {
		const folder = purpose === "release" ? join(root, "..") : keys;
		const key = await readKey(join(folder, `${purpose}.json`), purpose);
		const trust = trustIn(operator.rootKey, Date.now);
		for (const asked of PURPOSES)
			t.equal(
				unseal(seal(key, {}), asked, anything, trust).ok,
				asked === purpose,
			);
	}
});
