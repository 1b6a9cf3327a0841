import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { resetBox } from "../../src/agent/reset.ts";
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
		});
		const lock = await lockFolder(data, "BOX_BUSY");
		await t.rejects(resetBox({ data }), { code: "BOX_BUSY" });
		await lock.close();
		t.same(await resetBox({ data }), [
			"shards",
			"keys",
			"control",
			"known-nodes.json",
		]);
		t.same((await readdir(data)).sort(), ["identity.json", "recordings"]);
		t.same(await resetBox({ data }), [], "again does no harm");
		t.same(await resetBox({ data: join(data, "none") }), []);
		await mkdir(join(data, "shards"));
		await writeFile(join(data, "shards", "x"), "");
		t.same(await resetBox({ data }), ["shards"]);
	},
);
