import { createHash } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import pkg from "../../package.json" with { type: "json" };
import { bundle, larder, tryAddons } from "./bundle.ts";

const ROOT = join(import.meta.dirname, "../..");
const TARGET = `${process.platform}-${process.arch}`;
const NODE: [string] = [process.execPath];

async function digests(folder: string): Promise<Record<string, string>> {
	const found: Record<string, string> = {};
	for (const entry of globSync("**/*", { cwd: folder, withFileTypes: true })) {
		if (!entry.isFile()) continue;
		const file = join(entry.parentPath, entry.name);
		const digest = createHash("sha256").update(await readFile(file));
		found[file.slice(folder.length)] = digest.digest("hex");
	}
	return found;
}

t.test("the box's bundle starts with nothing beside it", async (t) => {
	const folder = await bundle(t, TARGET);
	const version = await larder(folder, NODE, "--version");
	t.equal(version.trim(), pkg.version);
});

t.test("a bundle knows when it was made", async (t) => {
	const made = 1_800_000_000;
	const entry = join(import.meta.dirname, "built.ts");
	const env = { SOURCE_DATE_EPOCH: String(made) };
	const folder = await bundle(t, TARGET, entry, env);
	t.equal(Number(await larder(folder, NODE)), made * 1000);
});

t.test("the addons load and work", async (t) => {
	await tryAddons(t, TARGET, NODE);
});

t.test("the same source gives the same bytes", async (t) => {
	const first = await digests(await bundle(t, TARGET));
	t.same(await digests(await bundle(t, TARGET)), first);
	t.ok(first["/larder.mjs"]);
});

t.test("the player page is in the bundle, and all that it loads", async (t) => {
	const folder = await bundle(t, TARGET);
	for (const file of globSync("**/*.*", {
		cwd: join(ROOT, "src/gateway/page"),
	})) {
		t.ok(existsSync(join(folder, "page", file)), file);
	}
	const script = await readFile(join(folder, "larder.mjs"), "utf8");
	const vendored = new Set(script.match(/hls\.js\/dist\/[\w.-]+/g));
	t.ok(vendored.size > 0, "the gateway names files of hls.js");
	for (const file of vendored) {
		t.ok(existsSync(join(folder, "vendor", file)), file);
	}
});

t.test("what makes certificates stays at the headend", async (t) => {
	const folder = await bundle(t, TARGET);
	const used = await readFile(join(folder, "licenses.txt"), "utf8");
	t.match(used, /^== mqtt 5/m);
	t.notMatch(used, /@peculiar|reflect-metadata|tsyringe|asn1js/);
});

t.test("an unknown target is refused", async (t) => {
	await t.rejects(bundle(t, "linux-mips"), /No such target: linux-mips/);
});
