// A quota that is hard, on an ext4 that others fill, too.
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { freeOn, Space, sizeOf } from "../../../src/agent/space.ts";
import { silent } from "../../../src/base/log.ts";
import { monotonic, SECOND } from "../../../src/base/time.ts";
import { type Bytes, KiB, MiB } from "../../../src/base/units.ts";
import { stepOf } from "../../../src/plan/capacity.ts";
import { encodeRanges } from "../../../src/wire/ranges.ts";
import { hold, makeTitle, type TestBox, until } from "../../fixture.ts";
import { makeRegion, meet, watch } from "../../swarm/region.ts";
import { ext4, skip, taken } from "./mounts.ts";

const BLOCK = 64 * KiB;
const titles = ["a", "b", "c", "d"].map((seed) =>
	makeTitle(12 * MiB + 1000, BLOCK, 16, seed),
);
const [film = makeTitle(1)] = titles;

t.setTimeout(120_000);

/** Calls `see` again and again until the function given back is called, which waits for the last. */
function again(see: () => Promise<void>): () => Promise<void> {
	let ended = false;
	const watching = (async () => {
		while (!ended) await see();
	})();
	return () => {
		ended = true;
		return watching;
	};
}

/** A box's store kept within its disk as an agent does. */
async function keep(
	t: Parameters<typeof ext4>[0],
	box: TestBox,
	dir: string,
	gift: { quota: Bytes; reserve: Bytes; streamingShare: number },
): Promise<Space> {
	const { store } = box;
	store.resize(sizeOf(gift.quota, gift));
	const free = () => freeOn(dir);
	const space = await Space.watch({ store, gift, free, log: silent });
	space.onChange(() => box.reconciler.roomChanged());
	t.teardown(() => space.close());
	return space;
}

t.test(
	"what many fetch at once stays within the quota",
	{ skip },
	async (t) => {
		const { dir } = await ext4(t, 256 * MiB);
		const region = await makeRegion(t, ...titles);
		const folder = join(dir, "box");
		await mkdir(folder);
		const box = await region.box("box", { folder, titles });
		const quota = 20 * MiB;
		await keep(t, box, dir, { quota, reserve: 0, streamingShare: 0.5 });
		let most: Bytes = 0;
		const end = again(async () => {
			most = Math.max(most, await taken(join(folder, "shards")));
		});
		const ranks = [
			{ rank: 0, shards: encodeRanges(film.manifest.shards.keys()) },
		];
		box.reconciler.place(titles.slice(0, 2).map(({ id }) => ({ id, ranks })));
		const films = await Promise.all(
			[...titles, ...titles].map((title, at) =>
				watch(box, title, (at % 3) * MiB),
			),
		);
		await until(() => box.progress()?.plan.phase === "short");
		await until(() => titles.every(({ id }) => !box.fetcher.isFetching(id)));
		await end();
		t.ok(most <= quota + BLOCK, `${most - quota} bytes above the quota`);
		t.ok(most > 0.8 * quota, `and it was used: ${most}`);
		t.ok(box.store.usedBytes <= quota);
		for (const [at, bytes] of films.entries()) {
			const whole = titles[at % titles.length]?.plaintext;
			t.ok(whole && bytes.equals(whole.subarray((at % 3) * MiB)), "all played");
		}
	},
);

t.test("when others need the disk, Larder gives back", { skip }, async (t) => {
	const { dir } = await ext4(t, 200 * MiB);
	const region = await makeRegion(t, ...titles);
	const folder = join(dir, "box");
	await mkdir(folder);
	const box = await region.box("box", { folder, titles, takeover: 100 });
	const neighbour = await region.box("neighbour", { titles: [film] });
	await meet(box, neighbour);
	// A step is 6 MiB; the films take 36.
	const gift = { quota: 60 * MiB, reserve: 60 * MiB, streamingShare: 0.3 };
	await keep(t, box, dir, gift);
	const [first, second, watched] = titles;
	if (!first || !second || !watched) throw new Error("no titles");
	await hold(box, watched);
	const placed = (rank: number) => [
		{ rank, shards: encodeRanges(film.manifest.shards.keys()) },
	];
	box.reconciler.place([
		{ id: first.id, ranks: placed(0) },
		{ id: second.id, ranks: placed(2) },
	]);
	await hold(box, first);
	await hold(box, second);
	await until(() => box.progress()?.plan.phase === "applied");
	const heldOf = (id: typeof film.id) => box.store.inventory(id)?.held.count;
	const all = film.manifest.shards.length;
	t.same(
		[first, second, watched].map(({ id }) => heldOf(id)),
		[all, all, all],
	);

	/** Records so much in one go; how long the reserve was not free after that. */
	const record = async (name: string, bytes: Bytes): Promise<number> => {
		await using recording = await open(join(dir, name), "w");
		const piece = Buffer.alloc(MiB, 1);
		for (let at = 0; at < bytes; at += piece.length)
			await recording.write(piece);
		await recording.sync();
		const at = monotonic();
		while ((await freeOn(dir)) < gift.reserve);
		return monotonic() - at;
	};
	const room = (await freeOn(dir)) - gift.reserve;
	// While a neighbour is being served: what goes is refused, and what it wants comes from elsewhere.
	const playing = watch(neighbour, film);
	let took = await record("a.ts", room + 4 * MiB);
	t.ok(took <= 2 * SECOND, `the reserve stood again after ${took} ms`);
	t.same(
		[first, second].map(({ id }) => heldOf(id)),
		[all, all],
	);
	t.ok((heldOf(watched.id) ?? all) < all, "what was only watched goes first");
	await until(() => box.store.excess <= 0);
	took = await record("b.ts", 12 * MiB);
	t.ok(took <= 2 * SECOND, `the reserve stood again after ${took} ms`);
	await until(() => box.store.excess <= 0);
	t.equal(heldOf(watched.id), 0);
	t.ok((heldOf(second.id) ?? all) < all, "then what others hold first");
	t.equal(heldOf(first.id), all, "and last what nobody holds before it");
	await until(() => box.progress()?.plan.phase === "short");
	t.ok(box.progress()?.plan.missingBytes);
	t.ok((await playing).equals(film.plaintext), "the neighbour's film plays on");
	t.equal(neighbour.traffic.wrong, 0);

	const kept = heldOf(second.id);
	const grown: (number | undefined)[] = [];
	box.store.onChange(() => grown.push(heldOf(second.id)));
	await rm(join(dir, "a.ts"));
	await rm(join(dir, "b.ts"));
	await until(() => box.progress()?.plan.phase === "applied");
	t.equal(heldOf(second.id), all, `it grew back from ${kept}`);
	t.same(
		grown,
		grown.toSorted((a = 0, b = 0) => a - b),
		"and never went back and forth",
	);
	t.ok((await freeOn(dir)) >= gift.reserve + stepOf(gift.quota) - BLOCK);
});
