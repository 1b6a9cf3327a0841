import {
	existsSync,
	mkdirSync,
	readdirSync,
	rmSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { ShardStore } from "../../src/store/store.ts";
import { makeTitle, put } from "../fixture.ts";

const title = makeTitle(6 * 8 * 4096);
const other = makeTitle(2 * 8 * 4096, 4096, 8, "other");
const { id } = title;

/** A store with shards 0 to 3 of a title whole, two blocks of 4, nothing of 5, and another title. */
async function filled(t: Test): Promise<{ store: ShardStore; place: string }> {
	const folder = t.testdir();
	const store = await ShardStore.open({
		...{ folder, capacity: 1e9, streamingShare: 0, log: silent },
	});
	t.teardown(() => store.close());
	for (const shard of [0, 1, 2, 3]) await put(store, title, shard);
	await put(store, title, 4, [1, 6]);
	await put(store, other, 0);
	return { store, place: join(folder, id) };
}

t.test("books that are true are left alone", async (t) => {
	const { store } = await filled(t);
	const { usedBytes, reservedBytes } = store;
	const changes: number[] = [];
	store.onChange(({ shard }) => changes.push(shard));
	t.equal(await store.audit(), 0);
	t.same(changes, []);
	t.same([...store.inventory(id)!.held], [0, 1, 2, 3]);
	t.match(store, { usedBytes, reservedBytes });
});

t.test("what differs is mended, and told", async (t) => {
	const { store, place } = await filled(t);
	const before = store.reservedBytes;
	const one = title.shardFiles[0]!.length;
	unlinkSync(join(place, "0"));
	truncateSync(join(place, "1"), 4096);
	truncateSync(join(place, "4.part"), 0);
	writeFileSync(join(place, "2.part"), "left over");
	writeFileSync(join(place, "5"), title.shardFiles[5]!);
	writeFileSync(join(place, "notes"), "?");
	mkdirSync(join(place, "9.part.d"));
	const changes = new Set<number>();
	store.onChange(({ shard }) => changes.add(shard));
	t.equal(await store.audit(), 7);
	t.same(changes, new Set([0, 1, 4, 5]));
	t.same([...store.inventory(id)!.held], [2, 3]);
	t.same(store.inventory(id)!.partial, []);
	t.same(readdirSync(place).toSorted(), ["2", "3", "manifest"]);
	t.equal(store.reservedBytes, before - 3 * one);
	t.equal(store.usedBytes, store.reservedBytes);
	for (const shard of title.manifest.shards.keys())
		await put(store, title, shard);
	t.equal(store.inventory(id)!.held.count, 6, "it can be fetched again");
	t.equal(await store.audit(), 0);
});

t.test("a title that somebody removed is not there", async (t) => {
	const { store, place } = await filled(t);
	rmSync(place, { recursive: true });
	t.equal(await store.audit(), 1);
	t.same(store.titles(), [other.id]);
	await put(store, title, 0);
	t.same([...store.inventory(id)!.held], [0]);
	unlinkSync(join(place, "manifest"));
	t.equal(await store.audit(), 1);
	t.notOk(existsSync(place));
});

t.test("it gets in nobody's way", async (t) => {
	const { store } = await filled(t);
	let ended = false;
	const working = (async () => {
		for (let round = 0; round < 8; round++) {
			for (const shard of [5, 4, 0]) await put(store, title, shard);
			for (const shard of [0, 5]) await store.removeShard(id, shard);
			await put(store, other, 1);
			await store.removeTitle(other.id);
		}
		ended = true;
	})();
	const found: number[] = [];
	while (!ended) found.push(await store.audit());
	await working;
	t.ok(found.length > 1);
	t.same(
		found.filter((mended) => mended > 0),
		[],
	);
	t.equal(await store.audit(), 0);
});
