import { createHash } from "node:crypto";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Releases } from "../../../src/agent/update/releases.ts";
import { stage } from "../../../src/agent/update/stage.ts";
import { tarHeader, tarPadding } from "../../../src/content/tar.ts";
import type { Release } from "../../../src/wire/release.ts";
import { newTitle, Operator } from "../../control/operator.ts";

const { network } = new Operator().trust;

function tarOf(files: Record<string, string | Buffer>): Buffer {
	const parts = Object.entries(files).flatMap(([path, content]) => {
		const { length: size } = Buffer.from(content);
		const padding = Buffer.alloc(tarPadding(size));
		return [tarHeader({ path, size }), Buffer.from(content), padding];
	});
	return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

function saidOf(tar: Buffer, version = "0.2.0"): Release {
	return {
		...{ network, version, target: "linux-x64", minimum: "0.0.0" },
		size: tar.length,
		sha256: createHash("sha256").update(tar).digest("hex"),
	};
}

/** As it comes from a title: in pieces that end anywhere. */
async function* pieces(tar: Buffer): AsyncGenerator<Buffer> {
	for (let at = 0; at < tar.length; at += 777) yield tar.subarray(at, at + 777);
}

const addon = Buffer.alloc(3 * 1024 * 1024, "addon");
const tar = tarOf({
	version: "0.2.0\n",
	"larder.mjs": "export {};",
	"prebuilds/linux-x64/a.node": addon,
});

function open(t: Test) {
	const dir = join(t.testdir(), "releases");
	return { dir, releases: new Releases(dir) };
}

t.test("a release is there whole, for its owner alone", async (t) => {
	const { dir, releases } = open(t);
	await stage(saidOf(tar), pieces(tar), releases);
	t.same(await readdir(dir), ["0.2.0"]);
	const file = join(dir, "0.2.0/prebuilds/linux-x64/a.node");
	t.ok(addon.equals(await readFile(file)));
	t.equal((await stat(file)).mode & 0o777, 0o600);
	await stage(saidOf(tar), pieces(tar), releases);
	t.same(await readdir(dir), ["0.2.0"], "and may be staged again");
});

t.test("what is not what was signed leaves nothing", async (t) => {
	const { dir, releases } = open(t);
	const said = saidOf(tar);
	const wrong = Buffer.from(tar);
	wrong[600] = 255 - (wrong[600] ?? 0);
	const link = tarOf({ "larder.mjs": "x", version: "0.2.0" });
	link.write("2", 156);
	const bad: [string, Release, Buffer][] = [
		["another byte", said, wrong],
		["too short", said, tar.subarray(0, -1)],
		["too long", said, Buffer.concat([tar, Buffer.alloc(1)])],
		["no tar", saidOf(addon), addon],
		["a link", saidOf(link), link],
		["another version", saidOf(tar, "0.3.0"), tar],
	];
	for (const [what, statement, bytes] of bad) {
		const staging = stage(statement, pieces(bytes), releases);
		await t.rejects(staging, { code: "RELEASE_INVALID" }, what);
		t.same(await readdir(dir), [], what);
	}
});

t.test("a tar that leads out, although it is signed", async (t) => {
	const { dir, releases } = open(t);
	const out = tarOf({ "../../out": "x", version: "0.2.0\n" });
	const staging = stage(saidOf(out), pieces(out), releases);
	await t.rejects(staging, { code: "RELEASE_INVALID" });
	t.same(await readdir(join(dir, "..")), ["releases"]);
});

t.test("the one that runs stays, those before it go", async (t) => {
	const { dir, releases } = open(t);
	const next = async (version: string, running: string) => {
		const tar = tarOf({ version, "larder.mjs": "x" });
		await stage(saidOf(tar, version), pieces(tar), releases);
		await releases.switchTo(version, newTitle(), running);
		await releases.keep();
	};
	await next("0.2.0", "0.1.0");
	await next("0.3.0", "0.2.0");
	t.same((await readdir(dir)).toSorted(), ["0.2.0", "0.3.0", "current"]);
	await next("0.4.0", "0.3.0");
	t.same((await readdir(dir)).toSorted(), ["0.3.0", "0.4.0", "current"]);
	t.equal(await readlink(join(dir, "current")), "0.4.0");
});
