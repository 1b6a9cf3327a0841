// Disks that fail, each as a real file system fails: the box stays up, serves what it can, and comes back by itself.
import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { run } from "../../../scripts/run.ts";
import { silent } from "../../../src/base/log.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { ShardStore } from "../../../src/store/store.ts";
import { encodeRanges } from "../../../src/wire/ranges.ts";
import { makeTitle, put, type TestBox, until } from "../../fixture.ts";
import {
	has,
	makeRegion,
	meet,
	type TestRegion,
	watch,
} from "../../swarm/region.ts";
import { type Disk, ext4, placeOf, remount, skip } from "./mounts.ts";

const LIMITS = { capacity: 1e9, streamingShare: 1e8, log: silent };
/** Twelve shards each. */
const film = makeTitle(12 * MiB, 64 * KiB, 16, "film");
const other = makeTitle(12 * MiB, 64 * KiB, 16, "other");
const titles = [film, other];
const ranks = [{ rank: 0, shards: encodeRanges(film.manifest.shards.keys()) }];

t.setTimeout(120_000);

interface Pair {
	readonly region: TestRegion;
	readonly disk: Disk;
	/** Its shards lie on the disk, the film among them. */
	readonly box: TestBox;
	readonly neighbour: TestBox;
}

async function open(t: Test, disk: Disk): Promise<Pair> {
	const region = await makeRegion(t, ...titles);
	const box = await region.box("box", { folder: disk.dir, titles });
	const neighbour = await region.box("neighbour", { titles });
	await meet(box, neighbour);
	return { region, disk, box, neighbour };
}

async function filled(t: Test): Promise<Pair> {
	const pair = await open(t, await ext4(t, 64 * MiB));
	pair.box.reconciler.place([{ id: film.id, ranks }]);
	await until(() => phaseOf(pair.box) === "applied");
	return pair;
}

function phaseOf(box: TestBox) {
	return box.progress()?.plan.phase;
}

/** What is held is given and played, and what is not is played past the disk. */
async function serves(t: Test, { box, neighbour }: Pair) {
	const { from } = neighbour.traffic;
	t.ok((await watch(neighbour, film)).equals(film.plaintext), "it gives");
	t.ok(neighbour.traffic.from - from > 10 * MiB, "and nobody else has to");
	t.ok((await watch(box, film)).equals(film.plaintext), "it plays");
	t.ok((await watch(box, other)).equals(other.plaintext), "it streams");
}

t.test("a disk that turns read-only", { skip }, async (t) => {
	const pair = await filled(t);
	const { box, disk } = pair;
	const trigger = `/sys/fs/ext4/${disk.device}/trigger_fs_error`;
	await writeFile(trigger, "larder's test");
	box.reconciler.place([film, other].map(({ id }) => ({ id, ranks })));
	await until(() => box.store.disk.state === "read-only");
	await serves(t, pair);
	t.notOk(box.store.takesWrites);
	t.equal(phaseOf(box), "fetching");
	t.same(box.store.inventory(other.id)?.partial ?? [], []);
});

t.test("a disk that can be written again", { skip }, async (t) => {
	const disk = await ext4(t, 64 * MiB);
	const folder = join(disk.dir, "shards");
	const store = await ShardStore.open({ folder, ...LIMITS });
	t.teardown(() => store.close());
	await store.putManifest(film.id, film.manifestBytes);
	await run("mount", ["-o", "remount,ro", disk.dir]);
	await t.rejects(put(store, film, 0), { code: "STORE_UNUSABLE" });
	t.match(store.disk.report, { state: "read-only" });
	t.notOk(store.takesWrites);
	await run("mount", ["-o", "remount,rw", disk.dir]);
	await until(() => store.takesWrites);
	await put(store, film, 0);
	t.same([...(store.inventory(film.id)?.held ?? [])], [0]);
});

t.test("a disk that is full though the books say no", { skip }, async (t) => {
	const pair = await filled(t);
	const { box, disk } = pair;
	const recording = join(disk.dir, "recording");
	await run("sh", ["-c", `cat /dev/zero > ${recording} || true`]);
	box.reconciler.place([film, other].map(({ id }) => ({ id, ranks })));
	await until(() => box.store.disk.state === "full");
	await serves(t, pair);
	await rm(recording);
	await until(() => phaseOf(box) === "applied");
	t.ok(box.store.takesWrites);
	t.ok(await has(box, other));
});

t.test("a disk that hangs for a while", { skip }, async (t) => {
	const pair = await filled(t);
	const { box, disk } = pair;
	await run("fsfreeze", ["--freeze", disk.dir]);
	let frozen = true;
	const thaw = async () => {
		if (frozen) await run("fsfreeze", ["--unfreeze", disk.dir]);
		frozen = false;
	};
	t.teardown(thaw);
	box.reconciler.place([film, other].map(({ id }) => ({ id, ranks })));
	await until(() => box.store.disk.state === "slow");
	await serves(t, pair);
	t.equal(box.store.disk.state, "slow", "and it hangs on");
	await thaw();
	await until(() => phaseOf(box) === "applied");
	t.ok(await has(box, other));
});

/** A box that held the whole film on a disk whose last shards cannot be read any more. */
async function worn(t: Test, count: number): Promise<Pair> {
	const disk = await ext4(t, 64 * MiB);
	const folder = join(disk.dir, "shards");
	const store = await ShardStore.open({ folder, ...LIMITS });
	const shards = [...film.manifest.shards.keys()];
	for (const shard of shards) await put(store, film, shard);
	await store.close();
	await remount(disk);
	const paths = shards.map((shard) => `/shards/${film.id}/${shard}`);
	const places = await Promise.all(paths.map((path) => placeOf(disk, path)));
	await truncate(disk.image, places.toSorted((a, b) => b - a)[count - 1]);
	return await open(t, disk);
}

t.test("a disk with a bad spot", { skip }, async (t) => {
	const { box, neighbour } = await worn(t, 1);
	for (const shard of film.manifest.shards.keys())
		await put(neighbour.store, film, shard);
	t.ok((await watch(box, film)).equals(film.plaintext), "it plays on");
	t.ok(box.store.disk.report.unreadable > 0);
	box.reconciler.place([{ id: film.id, ranks }]);
	await until(() => phaseOf(box) === "applied");
	t.ok(await has(box, film), "it is whole again");
	t.equal(box.store.disk.state, "good");
});

t.test("a disk with bad spots everywhere", { skip }, async (t) => {
	const { box } = await worn(t, 4);
	// Not played: what a player fetches again is written, and that mends a file which was cut short.
	for (const shard of film.manifest.shards.keys())
		await box.store.read(film.id, { shard, first: 0, count: 1 });
	t.equal(box.store.disk.state, "failing");
	t.equal(box.store.inventory(film.id)?.held.count, 8, "the rest is kept");
	t.ok((await watch(box, other)).equals(other.plaintext), "it streams");
	t.notOk(box.store.inventory(other.id)?.bytes, "and writes nothing");
	t.ok((await watch(box, film)).equals(film.plaintext), "it plays");
});
