import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { ShardStore } from "../../src/store/store.ts";
import { makeTitle, put } from "../fixture.ts";

const LIMITS = { capacity: 1e9, streamingShare: 0, log: silent };
const title = makeTitle(4 * 8 * 4096);
const { id } = title;

/** A store's folder in which the whole title lies, closed. */
async function filled(t: Test): Promise<{ folder: string; place: string }> {
	const folder = t.testdir();
	const store = await ShardStore.open({ folder, ...LIMITS });
	for (const shard of title.shardFiles.keys()) await put(store, title, shard);
	await store.close();
	return { folder, place: join(folder, id) };
}

async function open(t: Test, folder: string): Promise<ShardStore> {
	const store = await ShardStore.open({ folder, ...LIMITS });
	t.teardown(() => store.close());
	return store;
}

function flip(path: string, at: number): void {
	const bytes = readFileSync(path);
	bytes[at]! ^= 0x10;
	writeFileSync(path, bytes);
}

const whole = { first: 0, count: 8 };

t.test("a flipped bit is never served and its block is missing", async (t) => {
	const { folder, place } = await filled(t);
	const store = await open(t, folder);
	flip(join(place, "1"), 3 * 4096 + 17);
	t.equal(await store.read(id, { shard: 1, ...whole }), undefined);
	t.same([...store.inventory(id)!.held], [0, 2, 3]);
	const [partial] = store.inventory(id)!.partial;
	t.same([...partial!.blocks], [0, 1, 2, 4, 5, 6, 7]);
	t.notOk(existsSync(join(place, "1")), "its name says so too");
	t.ok(existsSync(join(place, "1.part")));
	t.ok(await store.read(id, { shard: 1, first: 4, count: 4 }));
	await put(store, title, 1);
	t.same([...store.inventory(id)!.held], [0, 1, 2, 3]);
	const mended = await store.read(id, { shard: 1, ...whole });
	t.same(mended, title.shardFiles[1]!.subarray(0, 8 * 4096));
});

t.test("what this process wrote itself is checked too", async (t) => {
	const store = await open(t, t.testdir());
	await put(store, title, 0);
	flip(join(t.testdirName, id, "0"), 0);
	const reads = [0, 1, 2].map((first) =>
		store.read(id, { shard: 0, first: 0, count: first + 1 }),
	);
	t.same(await Promise.all(reads), [undefined, undefined, undefined]);
	t.notOk(store.hasBlock(id, 0, 0));
	t.ok(store.hasBlock(id, 0, 1));
});

t.test("wrong leaves make a shard worthless", async (t) => {
	const { folder, place } = await filled(t);
	flip(join(place, "2"), 8 * 4096 + 5);
	const store = await open(t, folder);
	t.equal(await store.read(id, { shard: 2, ...whole }), undefined);
	t.same([...store.inventory(id)!.held], [0, 1, 3]);
	t.notOk(existsSync(join(place, "2")));
	await put(store, title, 2);
	t.ok(await store.read(id, { shard: 2, ...whole }));
});

t.test("a shard of the wrong size does not count as held", async (t) => {
	const { folder, place } = await filled(t);
	truncateSync(join(place, "0"), 8 * 4096);
	truncateSync(join(place, "3"), 0);
	const store = await open(t, folder);
	t.same([...store.inventory(id)!.held], [1, 2]);
	t.notOk(existsSync(join(place, "0")));
});

t.test("a shard that somebody deletes or cuts is noticed", async (t) => {
	const { folder, place } = await filled(t);
	const store = await open(t, folder);
	unlinkSync(join(place, "0"));
	t.equal(await store.read(id, { shard: 0, ...whole }), undefined);
	t.ok(await store.read(id, { shard: 1, ...whole }));
	truncateSync(join(place, "1"), 5 * 4096 + 9);
	t.equal(await store.read(id, { shard: 1, first: 4, count: 4 }), undefined);
	t.same([...store.inventory(id)!.held], [2, 3]);
	const rest = await store.read(id, { shard: 1, first: 0, count: 5 });
	t.equal(rest, undefined, "its leaves are gone, too");
	t.notOk(existsSync(join(place, "1.part")));
});

t.test("foreign files are removed from a title's folder only", async (t) => {
	const { folder, place } = await filled(t);
	writeFileSync(join(folder, "notes.txt"), "mine");
	mkdirSync(join(folder, "lost+found"));
	const foreign = ["manifest.part", "x", "07", "4", "9999999", "1.part.bak"];
	for (const name of foreign) writeFileSync(join(place, name), "?");
	writeFileSync(join(place, "2.part"), "left over beside the whole");
	mkdirSync(join(place, "5.part"));
	mkdirSync(join(place, "deep"));
	writeFileSync(join(place, "deep", "file"), "?");
	unlinkSync(join(place, "3"));
	symlinkSync("/etc/hostname", join(place, "3"));
	const store = await open(t, folder);
	t.same([...store.inventory(id)!.held], [0, 1, 2]);
	for (const name of [...foreign, "2.part", "5.part", "deep", "3"]) {
		t.notOk(existsSync(join(place, name)), `${name} is gone`);
	}
	t.ok(existsSync("/etc/hostname"));
	t.ok(existsSync(join(folder, "notes.txt")));
	t.ok(existsSync(join(folder, "lost+found")));
});

t.test("a damaged manifest is fetched again, its shards stay", async (t) => {
	const { folder, place } = await filled(t);
	flip(join(place, "manifest"), 60);
	const store = await open(t, folder);
	t.equal(await store.manifest(id), undefined);
	t.equal(store.inventory(id), undefined);
	t.same(store.titles(), []);
	t.equal(await store.manifestBytes(id), undefined, "nor is it given");
	await store.audit();
	await store.close();
	// The power goes before another came.
	const again = await open(t, folder);
	await again.putManifest(id, title.manifestBytes);
	t.same([...again.inventory(id)!.held], [0, 1, 2, 3]);
	t.ok(await again.read(id, { shard: 3, ...whole }));
});

t.test("a manifest that is damaged later is not given", async (t) => {
	const { folder, place } = await filled(t);
	const store = await open(t, folder);
	t.same(await store.manifestBytes(id), title.manifestBytes);
	flip(join(place, "manifest"), 60);
	t.equal(await store.manifestBytes(id), undefined);
	t.ok(await store.read(id, { shard: 3, ...whole }));
});

t.test("what a probe of the disk left is cleared away", async (t) => {
	const { folder } = await filled(t);
	for (const name of ["probe", "probe.part"])
		writeFileSync(join(folder, name), "?");
	await open(t, folder);
	t.same(readdirSync(folder), [id]);
});

t.test("shards without a manifest do not stay", async (t) => {
	const { folder, place } = await filled(t);
	unlinkSync(join(place, "manifest"));
	const store = await open(t, folder);
	t.same(store.titles(), []);
	t.notOk(existsSync(place));
});

t.test("a folder that cannot be read does not stop the others", async (t) => {
	const { folder, place } = await filled(t);
	const other = join(folder, "0".repeat(64));
	// Not even root can list what is no folder.
	writeFileSync(other, "");
	const store = await open(t, folder);
	t.same(store.titles(), [id]);
	t.ok(existsSync(place));
});

t.test("a store that cannot be opened says why", async (t) => {
	const folder = join(t.testdir({ file: "" }), "file");
	const opening = ShardStore.open({ folder, ...LIMITS });
	await t.rejects(opening, { code: "STORE_UNUSABLE" });
});
