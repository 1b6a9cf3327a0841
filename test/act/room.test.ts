import t from "tap";
import { HOUR } from "../../src/base/time.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { hold, makeTitle, type TestBox, until } from "../fixture.ts";
import { makeRegion, meet, watch } from "../swarm/region.ts";

const SHARDS = 4;
const one = makeTitle(SHARDS * MiB, 64 * KiB, 16, "one");
const other = makeTitle(SHARDS * MiB, 64 * KiB, 16, "other");
const titles = [one, other];
const file = one.shardFiles[0]?.length ?? 0;
/** Room for both, and for what says how they are cut. */
const streamingShare = 2 * SHARDS * file + 64 * KiB;

const heldOf = (box: TestBox, { id } = one) => [
	...(box.store.inventory(id)?.held ?? []),
];

async function watched(box: TestBox, title = one): Promise<void> {
	t.ok((await watch(box, title)).equals(title.plaintext));
	await until(() => !box.fetcher.isFetching(title.id));
}

/** Has so many shards go. */
async function evict(box: TestBox, shards: number): Promise<void> {
	const another = "f".repeat(64) as TitleId;
	t.ok(box.room.make(another, 0, shards * file));
	await box.room.settled;
}

t.test("what a neighbour has goes before what nobody else has", async (t) => {
	const region = await makeRegion(t, ...titles);
	const holder = await region.box("holder");
	await hold(holder, other);
	const viewer = await region.box("viewer", { titles, streamingShare });
	await meet(viewer, holder);
	t.equal(viewer.swarm.copies(other.id, 0), undefined, "nobody is asked");
	await watched(viewer, one);
	await watched(viewer, other);
	t.equal(viewer.swarm.copies(one.id, 0), 0);
	t.equal(viewer.swarm.copies(other.id, 0), 1);
	t.equal(viewer.room.bytes, 2 * SHARDS * file);
	await evict(viewer, 2);
	t.same(heldOf(viewer, one), [0, 1, 2, 3], "although it was watched before");
	t.same(heldOf(viewer, other), [0, 3], "the beginning, and where a viewer is");
});

t.test("what neighbours ask for stays", async (t) => {
	const region = await makeRegion(t, ...titles);
	const viewer = await region.box("viewer", { titles, streamingShare });
	await watched(viewer, one);
	await watched(viewer, other);
	const later = performance.now() + 2 * HOUR;
	t.intercept(performance, "now", { value: () => later });
	const neighbour = await region.box("neighbour", { titles });
	await meet(neighbour, viewer);
	await watched(neighbour, one);
	await evict(viewer, 2);
	t.same(heldOf(viewer, one), [0, 1, 2, 3]);
	t.same(heldOf(viewer, other), [0, 1]);
});

t.test("a box that is started again knows what is there", async (t) => {
	const region = await makeRegion(t, ...titles);
	const first = await region.box("box", { titles, streamingShare });
	await watched(first, one);
	await first.close();
	const box = await region.box("box", { titles, streamingShare });
	t.equal(box.room.bytes, SHARDS * file);
	await evict(box, SHARDS + 2);
	t.same(heldOf(box), [0, 1], "the end went");
});

t.test("to remove a title is not to look through all others", async (t) => {
	const region = await makeRegion(t, ...titles);
	const box = await region.box("box", { titles, streamingShare });
	await watched(box, one);
	await watched(box, other);
	// Nothing of it is placed.
	box.reconciler.place([]);
	const looks = t.capture(box.store, "titles", box.store.titles);
	box.reconciler.purge([other.id]);
	const before = looks().length;
	await until(() => box.store.inventory(other.id) === undefined);
	await until(() => box.room.bytes === SHARDS * file);
	t.equal(looks().length, 0, `after ${before} for the order itself`);
	t.same(heldOf(box, one), [0, 1, 2, 3]);
});
