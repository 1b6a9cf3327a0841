import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { bundleOf, type Findings } from "../../src/agent/bundle.ts";
import { machineOf, mountOf } from "../../src/agent/machine.ts";
import { readTarHeader, TAR_BLOCK, tarPadding } from "../../src/content/tar.ts";
import { MAX_BUNDLE } from "../../src/wire/reports.ts";
import { newBox, newTitle } from "../control/operator.ts";

const box = newBox();
const NOTHING: Findings = {
	...{ box, config: undefined, status: undefined, checks: [] },
	...{ machine: {}, logs: {} },
};

/** The files in a bundle. */
function filesIn(bundle: Buffer): Map<string, string> {
	const tar = gunzipSync(bundle);
	const files = new Map<string, string>();
	for (let at = 0; ; ) {
		const read = readTarHeader(tar.subarray(at, at + TAR_BLOCK));
		if (!read.ok) throw new Error(read.detail);
		if (read.value === undefined) return files;
		const { path, size } = read.value;
		at += TAR_BLOCK;
		files.set(path, tar.toString("utf8", at, at + size));
		at += size + tarPadding(size);
	}
}

t.test("what could be a secret is veiled wherever it stands", (t) => {
	const title = newTitle();
	const other = newTitle();
	const key = randomBytes(32);
	const sealed = randomBytes(80).toString("base64");
	const text = [
		`{"box":"${box}","msg":"ready"}`,
		`open '/data/shards/${title}/3' ${title} ${other}`,
		`{"title":"${title.slice(0, 8)}","shard":3}`,
		`seed ${key.toString("hex").slice(0, 40)} sealed ${sealed}`,
		"http://127.0.0.1:8090/t/Abc-def_123/titles",
		"/usr/lib/larder/agent/larder.mjs epoch 1234567890123",
	].join("\n");
	const logs = { "agent.log": text };
	const checks = [
		{ name: "store", level: "warn" as const, finding: `${title} is odd` },
	];
	const files = filesIn(bundleOf({ ...NOTHING, checks, logs }));
	const all = [...files.values()].join("\n");
	for (const secret of [
		...[title, other, title.slice(0, 8), sealed.slice(0, 20)],
		...[key.toString("hex").slice(0, 16), "Abc-def_123"],
	])
		t.notMatch(all, secret);
	t.match(all, `"box":"${box}"`);
	t.match(all, "/usr/lib/larder/agent/larder.mjs epoch 1234567890123");
	const names = all.match(/~[0-9a-f]{8}/g) ?? [];
	t.equal(names.length, 4);
	t.equal(new Set(names).size, 2, "one name for each, in every file");
	t.end();
});

t.test("a bundle has a bound; the ends of logs count", (t) => {
	// What does not compress.
	const noise = () => randomBytes(1_000_000).toString("latin1");
	const last = "and so it ended";
	const logs = { "a.log": `${noise()}${last}`, "b.log": `${noise()}${last}` };
	const bundle = bundleOf({ ...NOTHING, logs });
	t.ok(bundle.length <= MAX_BUNDLE, `${bundle.length} bytes`);
	t.ok(bundle.length > MAX_BUNDLE / 8);
	const files = filesIn(bundle);
	for (const name of Object.keys(logs))
		t.ok(files.get(name)?.endsWith(last), name);
	t.end();
});

t.test("the machine, and the mount that a folder lies on", async (t) => {
	t.match(await machineOf(t.testdir()), {
		node: process.version,
		disk: { size: Number, free: Number, mount: / / },
	});
	t.match(await machineOf("/no/such/folder"), { disk: { error: "ENOENT" } });
	const mounts = [
		...["/dev/a / squashfs ro 0 0", "/dev/b /var ext4 rw 0 0"],
		...["/dev/c /var/lib ext4 rw,noatime 0 0", "/dev/d /va ext4 rw 0 0"],
	].join("\n");
	t.match(mountOf("/var/lib/larder/data", mounts), /^\/dev\/c/);
	t.match(mountOf("/var/lib", mounts), /^\/dev\/c/);
	t.match(mountOf("/vault", mounts), /^\/dev\/a/);
});
