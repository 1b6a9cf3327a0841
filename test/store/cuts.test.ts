import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { ShardStore } from "../../src/store/store.ts";
import { makeTitle, put } from "../fixture.ts";

const title = makeTitle(4 * 8 * 4096);
const { id } = title;
const run = { shard: 1, first: 0, count: 8 };

async function open(t: Test): Promise<ShardStore> {
	const store = await ShardStore.open({
		...{ folder: join(t.testdirName, "shards"), capacity: 1e9 },
		...{ cuts: join(t.testdirName, "cuts.json"), streamingShare: 0 },
		log: silent,
	});
	t.teardown(() => store.close());
	return store;
}

/** A store in which a whole title lies, closed. */
async function filled(t: Test) {
	t.testdir();
	const store = await open(t);
	for (const shard of title.shardFiles.keys()) await put(store, title, shard);
	await store.close();
	const manifest = join(t.testdirName, "shards", id, "manifest");
	const cuts = join(t.testdirName, "cuts.json");
	const heldOf = (store: ShardStore) => store.inventory(id)?.held.count;
	return { manifest, cuts, heldOf };
}

t.test("a start reads no manifest of a title that is known", async (t) => {
	const { manifest, heldOf } = await filled(t);
	writeFileSync(manifest, "not to be read");
	const store = await open(t);
	t.equal(heldOf(store), 4);
	t.same(store.geometry(id), {
		size: 131_072,
		blockSize: 4096,
		shardBlocks: 8,
	});
	t.equal(await store.read(id, run), undefined, "which nobody can check now");
	t.equal(heldOf(store), 4, "and nothing is wrong with it");
	await store.putManifest(id, title.manifestBytes);
	const { blocks } = { blocks: title.shardFiles[1]!.subarray(0, 8 * 4096) };
	t.same(await store.read(id, run), blocks);
});

t.test("what is not known is read, and known from then on", async (t) => {
	const { manifest, cuts, heldOf } = await filled(t);
	for (const text of ["", "[]", '{"sum":"","rows":[]}']) {
		writeFileSync(cuts, text);
		const store = await open(t);
		t.equal(heldOf(store), 4, text);
		await store.close();
	}
	writeFileSync(manifest, "not to be read");
	t.equal(heldOf(await open(t)), 4);
});

t.test("what the disk changed is not believed", async (t) => {
	const { cuts, heldOf } = await filled(t);
	const changed = readFileSync(cuts, "utf8").replace("4096", "2048");
	writeFileSync(cuts, changed);
	t.equal(heldOf(await open(t)), 4, "or all shards would have a wrong size");
	t.ok(existsSync(join(t.testdirName, "shards", id, "0")));
});
