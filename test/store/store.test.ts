import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { shardFileBytes } from "../../src/content/geometry.ts";
import { besides } from "../../src/store/scan.ts";
import { ShardStore } from "../../src/store/store.ts";
import { blocksOf, makeTitle, put } from "../fixture.ts";

/** Three shards of eight blocks; the last shard has five and the last block is short. */
const title = makeTitle(2 * 8 * 4096 + 4 * 4096 + 100);
const { id, manifest } = title;

async function open(t: Test, capacity = 1e9): Promise<ShardStore> {
	const folder = t.testdir();
	const store = await ShardStore.open({
		folder,
		capacity,
		streamingShare: 0,
		log: silent,
	});
	t.teardown(() => store.close());
	return store;
}

t.test("what is put is read, and the folder shows it", async (t) => {
	const store = await open(t);
	const folder = join(t.testdirName, id);
	await put(store, title, 2);
	await put(store, title, 0, [0, 3, 7]);
	t.ok(existsSync(join(folder, "2")));
	t.notOk(existsSync(join(folder, "2.part")));
	t.ok(existsSync(join(folder, "0.part")));
	t.same([...store.inventory(id)!.held], [2]);
	const [partial] = store.inventory(id)!.partial;
	t.equal(partial!.shard, 0);
	t.same([...partial!.blocks], [0, 3, 7]);
	const whole = await store.read(id, { shard: 2, first: 0, count: 5 });
	t.same(whole, title.shardFiles[2]!.subarray(0, 4 * 4096 + 100));
	t.same(
		await store.read(id, { shard: 0, first: 3, count: 1 }),
		title.shardFiles[0]!.subarray(3 * 4096, 4 * 4096),
	);
	for (const run of [
		{ shard: 0, first: 3, count: 2 },
		{ shard: 0, first: 7, count: 2 },
		{ shard: 1, first: 0, count: 1 },
		{ shard: 9, first: 0, count: 1 },
		{ shard: 2 ** 53 - 1, first: 2 ** 53 - 1, count: 4 },
		{ shard: 2, first: 4, count: 2 },
	]) {
		t.equal(await store.read(id, run), undefined, JSON.stringify(run));
	}
	t.same(await store.leaves(id, 0), blocksOf(title, 0).leaves);
	t.equal(await store.leaves(id, 1), undefined);
	t.ok(store.hasBlock(id, 2, 4));
	t.notOk(store.hasBlock(id, 0, 1));
});

t.test("a shard becomes held once, however its blocks come", async (t) => {
	const store = await open(t);
	await store.putManifest(id, title.manifestBytes);
	const { leaves, blocks } = blocksOf(title, 1);
	const twice = [...blocks.entries(), ...[...blocks.entries()].reverse()];
	await Promise.all([
		store.putLeaves(id, 1, leaves),
		store.putLeaves(id, 1, leaves),
	]);
	await Promise.all(
		twice.map(([block, bytes]) => store.putBlock(id, 1, block, bytes)),
	);
	t.same([...store.inventory(id)!.held], [1]);
	t.same(store.inventory(id)!.partial, []);
	await store.putLeaves(id, 1, leaves);
	t.same([...store.inventory(id)!.held], [1]);
	t.same(
		await store.read(id, { shard: 1, first: 0, count: 8 }),
		title.shardFiles[1]!.subarray(0, 8 * 4096),
	);
});

t.test("changes are told, each of its shard", async (t) => {
	const store = await open(t);
	const told: string[] = [];
	store.onChange((change) => {
		const held = store.inventory(change.title)?.held.has(change.shard);
		told.push(`${change.shard}${held ? " held" : ""}`);
	});
	await put(store, title, 2);
	await store.removeShard(id, 2);
	t.same(told, ["2", "2", "2", "2", "2 held", "2"]);
});

t.test("figures are what the disk says", async (t) => {
	const store = await open(t);
	t.equal(store.usedBytes, 0);
	await store.putManifest(id, title.manifestBytes);
	const beside = store.usedBytes;
	t.ok(beside > title.manifestBytes.length, "the manifest and its folder");
	await put(store, title, 2);
	await put(store, title, 0, [1]);
	const whole = shardFileBytes(manifest, 2);
	const { size } = await stat(join(t.testdirName, id, "2"));
	t.equal(whole, size);
	t.equal(store.usedBytes, beside + whole + 4096 + 8 * 32);
	t.equal(store.inventory(id)!.bytes, store.usedBytes - beside);
	t.equal(
		store.reservedBytes,
		beside + whole + shardFileBytes(manifest, 0),
		"what is begun counts whole",
	);
	await store.removeShard(id, 2);
	t.notOk(existsSync(join(t.testdirName, id, "2")));
	t.equal(store.usedBytes, beside + 4096 + 8 * 32);
	await store.removeShard(id, 0);
	t.equal(store.usedBytes, beside);
	t.notOk(existsSync(join(t.testdirName, id, "0.part")));
	await store.removeTitle(id);
	t.equal(store.usedBytes, 0);
	t.equal(store.reservedBytes, 0);
	t.same(store.titles(), []);
	t.notOk(existsSync(join(t.testdirName, id)));
});

t.test(
	"the quota is never overrun, and holds for what is started",
	async (t) => {
		const one = shardFileBytes(manifest, 0);
		const beside = besides(title.manifestBytes.length);
		const tiny = await open(t, beside - 1);
		const refused = tiny.putManifest(id, title.manifestBytes);
		await t.rejects(refused, { code: "STORE_FULL" });
		const store = await open(t, 2 * one + beside);
		await put(store, title, 0, [0]);
		await put(store, title, 1, [0]);
		const third = put(store, title, 2, [0]);
		await t.rejects(third, { code: "STORE_FULL" });
		await put(store, title, 0);
		await put(store, title, 1);
		t.equal(store.usedBytes, 2 * one + beside);
		t.equal(store.excess, 0);
		await store.removeShard(id, 1);
		await put(store, title, 2);
		t.ok(store.usedBytes <= store.capacity);
	},
);

t.test("blocks of a shard that went away are refused, loudly", async (t) => {
	const store = await open(t);
	const { leaves, blocks } = blocksOf(title, 0);
	await t.rejects(store.putLeaves(id, 0, leaves), { code: "TITLE_UNKNOWN" });
	await put(store, title, 0, [0]);
	await store.removeShard(id, 0);
	const late = store.putBlock(id, 0, 1, blocks[1]!);
	await t.rejects(late, { code: "STORE_UNUSABLE" });
	await put(store, title, 0);
	t.same([...store.inventory(id)!.held], [0]);
});

t.test("a manifest is believed only when its hash is the id", async (t) => {
	const store = await open(t);
	const bytes = Buffer.from(title.manifestBytes);
	bytes[40]! ^= 1;
	await t.rejects(store.putManifest(id, bytes), { code: "MANIFEST_INVALID" });
	t.same(store.titles(), []);
	const both = [title.manifestBytes, title.manifestBytes];
	await Promise.all(both.map((each) => store.putManifest(id, each)));
	t.same(await store.manifest(id), manifest);
	t.same(await store.manifestBytes(id), title.manifestBytes);
	t.same(store.geometry(id), {
		size: manifest.size,
		blockSize: manifest.blockSize,
		shardBlocks: manifest.shardBlocks,
	});
});
