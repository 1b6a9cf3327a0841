import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import {
	finishReset,
	isResetOrdered,
	resetBox,
} from "../../src/agent/reset.ts";
import { lockFolder } from "../../src/store/lock.ts";

t.test(
	"a factory reset leaves the identity and what is not ours",
	async (t) => {
		const data = t.testdir({
			"identity.json": "who",
			"known-nodes.json": "[]",
			recordings: { "match.ts": "the PVR's" },
			shards: { a: { 0: "bytes" } },
			keys: { a: "sealed" },
			control: { "head.json": "{}" },
			".doctor-x": { probe: "" },
		});
		const lock = await lockFolder(data, "BOX_BUSY");
		await t.rejects(resetBox({ data }), { code: "BOX_BUSY" });
		t.notOk(isResetOrdered({ data }));
		t.same(await finishReset({ data }), [], "nobody has ordered it");
		await lock.close();
		t.same(await resetBox({ data }), [
			"keys",
			"control",
			"known-nodes.json",
			"shards",
		]);
		t.same((await readdir(data)).sort(), ["identity.json", "recordings"]);
		t.same(await resetBox({ data }), [], "again does no harm");
		t.same(await resetBox({ data: join(data, "none") }), []);
		await mkdir(join(data, "shards"));
		await writeFile(join(data, "shards", "x"), "");
		t.same(await resetBox({ data }), ["shards"]);
	},
);

t.test("a reset that is killed goes on", async (t) => {
	const data = t.testdir({ "identity.json": "who", keys: { a: "sealed" } });
	const titles = 100;
	for (let title = 0; title < titles; title++) {
		const folder = join(data, "shards", `${title}`);
		await mkdir(folder, { recursive: true });
		for (let shard = 0; shard < 50; shard++)
			await writeFile(join(folder, `${shard}`), "");
	}
	const left = async () => (await readdir(join(data, "shards"))).length;
	const reset = new URL("../../src/agent/reset.ts", import.meta.url).href;
	const script = `(await import(${JSON.stringify(reset)})).resetBox({ data: ${JSON.stringify(data)} })`;
	const child = spawn(process.execPath, [
		...["--input-type=module", "--eval", script],
	]);
	const ended = once(child, "exit");
	while ((await left()) === titles) t.equal(child.exitCode, null);
	child.kill("SIGKILL");
	t.same(await ended, [null, "SIGKILL"]);
	t.ok((await left()) > 0, "it was in the middle");
	t.ok(isResetOrdered({ data }));
	t.same((await finishReset({ data })).at(-1), "shards");
	t.same(await readdir(data), ["identity.json"]);
});
