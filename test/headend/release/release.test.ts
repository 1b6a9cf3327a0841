import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { initOperator } from "../../../src/headend/operator/operator.ts";
import { retireKeys, rotateKey } from "../../../src/headend/operator/rotate.ts";
import { listTitles, readTitle } from "../../../src/headend/publish/titles.ts";
import { readReleaseFile } from "../../../src/headend/release/file.ts";
import {
	publishRelease,
	releasesOf,
} from "../../../src/headend/release/publish.ts";
import { signRelease } from "../../../src/headend/release/sign.ts";
import { region } from "../fixture.ts";

/** An operator, the key for releases on a stick, and a bundle. */
async function open(t: Test, name = "operator") {
	const dir = t.testdir({
		bundle: {
			"larder.mjs": "export {};\n",
			version: "0.2.0\n",
			page: { "index.html": "<p>" },
			prebuilds: { "linux-x64": { "a.node": Buffer.alloc(1000, 7) } },
		},
	});
	const root = join(dir, "root.json");
	const operator = await initOperator(join(dir, name), { region, root });
	const sign = (minimum?: string) =>
		signRelease(operator, {
			bundle: join(dir, "bundle"),
			key: join(dir, "release.json"),
			out: dir,
			...(minimum && { minimum }),
		});
	return { dir, root, operator, sign };
}
const signal = new AbortController().signal;

t.test("a bundle is signed and published, once", async (t) => {
	const { operator, sign } = await open(t);
	const { path, said } = await sign("0.1.5");
	t.match(path, /larder-0\.2\.0-linux-x64\.release$/);
	t.match(said, { version: "0.2.0", target: "linux-x64", minimum: "0.1.5" });
	const before = await readFile(path);
	await sign("0.1.5");
	t.ok(before.equals(await readFile(path)), "the same bundle, the same file");

	const { title } = await publishRelease(operator, path, signal);
	const record = await readTitle(operator.dir, title.id);
	t.match(record, { kind: "release", assetId: "larder-linux-x64" });
	const { titles } = await listTitles(operator.dir);
	t.match(releasesOf(titles, "0.2.0").get("linux-x64"), { id: title.id, said });
	t.equal(releasesOf(titles, "0.3.0").size, 0);
	await t.rejects(publishRelease(operator, path, signal), {
		code: "REQUEST_INVALID",
	});
});

t.test("the root of an image is signed as it is", async (t) => {
	const { dir, operator } = await open(t);
	const image = join(dir, "larder-0.3.0-arm64.squashfs");
	const key = join(dir, "release.json");
	const signing = () => signRelease(operator, { bundle: image, key, out: dir });
	await t.rejects(signing(), { code: "RELEASE_INVALID", message: /no such/ });
	await writeFile(image, "no squashfs");
	await t.rejects(signing(), { code: "RELEASE_INVALID" });
	const root = Buffer.from("hsqs and the rest");
	await writeFile(image, root);
	const { path, said } = await signing();
	t.match(path, /larder-0\.3\.0-image-arm64\.release$/);
	t.match(said, { version: "0.3.0", target: "image-arm64", size: root.length });
	t.same((await readFile(path)).subarray(-root.length), root);
	t.same((await readReleaseFile(path, operator.trust)).said, said);
});

t.test("what is damaged or another's is not published", async (t) => {
	const { dir, operator, sign } = await open(t);
	const { path } = await sign();
	const whole = await readFile(path);
	const refused = async (bytes: Buffer, why: RegExp) => {
		await writeFile(path, bytes);
		const expected = { code: "RELEASE_INVALID", message: why };
		await t.rejects(publishRelease(operator, path, signal), expected);
	};
	await refused(whole.subarray(0, -1), /not what was signed/);
	const other = Buffer.from(whole);
	other[whole.length - 2000] = 1 + (other[whole.length - 2000] ?? 0);
	await refused(other, /not what was signed/);
	await refused(Buffer.from("hello"), /begin with a statement/);
	await writeFile(path, whole);
	const stranger = await initOperator(join(dir, "stranger"), { region });
	await t.rejects(publishRelease(stranger, path, signal), {
		code: "RELEASE_INVALID",
	});
	const { trust, network } = stranger;
	const key = join(dir, "release.json");
	const bundle = join(dir, "bundle");
	await t.rejects(
		signRelease({ trust, network }, { bundle, key, out: dir }),
		{ code: "OPERATOR_INVALID" },
		"nor is it signed by a key of another network",
	);
	await chmod(key, 0o600);
	await readReleaseFile(path, operator.trust);
});

t.test("a key for releases that is retired signs none", async (t) => {
	const { dir, operator, root, sign } = await open(t);
	const { path } = await sign();
	await rotateKey(operator, "release", root);
	const sure = { force: true, countOld: async () => 0 };
	await retireKeys(operator, "release", root, sure);
	await operator.keyring.reread();
	await t.rejects(publishRelease(operator, path, signal), {
		code: "RELEASE_INVALID",
		message: /retired-key/,
	});
	await sign();
	await publishRelease(operator, join(dir, path.split("/").at(-1)!), signal);
});

t.test("a folder that is no bundle", async (t) => {
	const { dir, operator, sign } = await open(t);
	await writeFile(join(dir, "bundle/version"), "soon\n");
	await t.rejects(sign(), { code: "RELEASE_INVALID", message: /version/ });
	const bundle = join(dir, "nothing");
	const key = join(dir, "release.json");
	const out = dir;
	for (const folder of [bundle, join(dir, "bundle/page")]) {
		const signing = signRelease(operator, { bundle: folder, key, out });
		await t.rejects(signing, { code: "RELEASE_INVALID" });
	}
});
