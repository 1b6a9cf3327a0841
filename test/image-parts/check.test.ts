import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { checkRoot } from "../../image/check.ts";

async function open(t: Test) {
	const root = t.testdir({
		etc: { shadow: "root:*::0:99999:7:::\nlarder:!*:::::::\n" },
		usr: { lib: { node: { catalog: { "index.js": "" } } } },
		var: { lib: { larder: {} } },
	});
	const put = async (path: string, text: string) => {
		await mkdir(dirname(join(root, path)), { recursive: true });
		await writeFile(join(root, path), text);
	};
	return { root, put };
}

t.test("an image that anybody may have", async (t) => {
	const { root, put } = await open(t);
	await put("etc/ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\n");
	await checkRoot(root);
});

for (const [path, text] of [
	["etc/machine-id", "0123456789abcdef0123456789abcdef\n"],
	["etc/larder/enrol.json", "{}"],
	["var/lib/larder/identity.json", "{}"],
	["var/lib/larder/data/catalog", ""],
	["opt/key.pem", "-----BEGIN PRIVATE KEY-----\n"],
	["opt/ssh_key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"],
	["opt/box.json", JSON.stringify({ seed: "ab".repeat(32) })],
	["etc/shadow", "root::::::::\n"],
] as const)
	t.test(`none that has ${path}`, async (t) => {
		const { root, put } = await open(t);
		await put(path, text);
		const name = path === "etc/shadow" ? "root may log in" : path;
		await t.rejects(checkRoot(root), { message: new RegExp(name) });
	});

t.test("the disk is laid out as its parts expect", async (t) => {
	const image = join(import.meta.dirname, "../../image");
	const config = await readFile(join(image, "genimage.cfg"), "utf8");
	const names = [...config.matchAll(/partition (\S+)/g)].map(
		([, name]) => name,
	);
	t.same(names, ["larder-boot", "larder-a", "larder-b", "larder-data"]);
	const sizes = [...config.matchAll(/size = (\S+)/g)].map(([, size]) => size);
	t.same(sizes, ["320M", "320M"], "what fits one slot fits the other");
	const init = await readFile(join(image, "initramfs/init"), "utf8");
	for (const [, name] of init.matchAll(/part (larder-\w+)\)/g))
		t.ok(names.includes(name), `${name}`);
	const uuids = [...config.matchAll(/-uuid = (\S+)/g)].map(([, uuid]) => uuid);
	t.equal(uuids.length, 9, "nothing is left to chance");
});
