import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { MINUTE, monotonic } from "../../src/base/time.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { blocksIn } from "../../src/content/geometry.ts";
import type { Figures } from "../../src/plan/session.ts";
import type { Groups } from "../../src/wire/near.ts";
import {
	type BoxSettings,
	hold,
	makeTitle,
	type TestBox,
	type TestTitle,
	until,
} from "../fixture.ts";
import { fill, makeRegion, meet } from "../swarm/region.ts";

const [street, other, city] = Array.from({ length: 3 }, () =>
	randomBytes(16).toString("hex"),
) as [string, string, string];
/** As much as anybody is asked for at once of whom nothing is known yet. */
const little = makeTitle(384 * KiB, 4 * KiB, 32);
const film = makeTitle(8 * MiB, 64 * KiB, 16);

interface Scene {
	readonly viewer: TestBox;
	readonly near: TestBox;
	readonly far: TestBox;
	/** Plays all of it as a player does; gives what is told of it. */
	play(): Promise<Figures | undefined>;
}

/** A viewer, a box of its street and one of the same city, both of which hold the title. */
async function scene(
	t: Test,
	near: Partial<BoxSettings>,
	far: Partial<BoxSettings>,
	title: TestTitle,
	duration: number,
): Promise<Scene> {
	const { id, manifest, plaintext } = title;
	const region = await makeRegion(t);
	const told: Figures[] = [];
	const box = (
		name: string,
		groups: Groups,
		settings: Partial<BoxSettings> = {},
	) => region.box(name, { membership: { near: () => groups }, ...settings });
	const viewer = await box("viewer", [street, city], {
		...{ titles: [title], duration },
		onWatched: (_, figures) => told.push(figures),
	});
	const holders = {
		near: await box("near", [street, city], near),
		far: await box("far", [other, city], far),
	};
	for (const holder of Object.values(holders)) {
		await hold(holder, title);
		await meet(viewer, holder, "tcp");
	}
	return {
		...{ viewer, ...holders },
		async play() {
			const { signal } = new AbortController();
			const open = await viewer.library.open(id, signal);
			const playing = { offset: 0, length: manifest.size, word: undefined };
			const began = monotonic();
			let at = 0;
			for await (const bytes of open.play({ ...playing, began }, signal)) {
				if (!bytes.equals(plaintext.subarray(at, at + bytes.length)))
					t.fail(`at ${at}`);
				at += bytes.length;
			}
			t.equal(at, manifest.size);
			viewer.audience.look(monotonic() + MINUTE);
			return told.pop();
		},
	};
}

t.test("of two that are as fast the near one serves", async (t) => {
	const fast = { up: 4 * MiB };
	const { viewer, near, far } = await scene(t, fast, fast, little, 60);
	const { id, manifest } = little;
	// A viewer who has enough for a while.
	const deadline = monotonic() + 10 * MINUTE;
	const unwatch = viewer.swarm.watch(id);
	await until(() => viewer.swarm.candidates(id, 0).length === 2);
	await viewer.store.putManifest(id, little.manifestBytes);
	const fetched = await Promise.all(
		Array.from(manifest.shards.keys()).flatMap((shard) =>
			Array.from({ length: blocksIn(manifest, shard) }, (_, block) => {
				const place = { title: id, shard, manifest };
				return viewer.fetcher.block(place, block, deadline).result;
			}),
		),
	);
	unwatch();
	const given = [near.traffic.to, far.traffic.to];
	t.ok(near.traffic.to > 4 * far.traffic.to, `near and far gave ${given}`);
	for (const { source, level } of fetched)
		if (level !== (source === near.id ? 0 : 1)) t.fail(`${source} ${level}`);
	const { fromLevel0 = 0, fromLevel1 = 0 } = viewer.ledger.counters;
	t.ok(fromLevel0 > 4 * fromLevel1);
	t.equal(fromLevel0 + fromLevel1, viewer.traffic.from);
});

t.test("a near one that is slow holds nobody up", async (t) => {
	const [slow, fast] = [{ up: 64 * KiB }, { up: 4 * MiB }];
	const { near, far, play } = await scene(t, slow, fast, film, 30);
	const figures = await play();
	const given = [near.traffic.to, far.traffic.to];
	t.ok(far.traffic.to > 2 * near.traffic.to, `near and far gave ${given}`);
	t.equal(figures?.stalls, 0);
	const [here = 0, beyond = 0] = figures?.near ?? [];
	t.equal(here + beyond, film.manifest.size, "told by level");
	t.equal(figures?.neighbours, film.manifest.size);
	t.ok(beyond > here);
});

t.test("what is filled comes from near, too", async (t) => {
	const fast = { up: 4 * MiB };
	const { viewer, near, far } = await scene(t, fast, fast, little, 60);
	await fill(viewer, little);
	const given = [near.traffic.to, far.traffic.to];
	t.ok(near.traffic.to > 4 * far.traffic.to, `near and far gave ${given}`);
});
