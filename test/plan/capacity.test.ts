import t from "tap";
import { GiB, MiB } from "../../src/base/units.ts";
import { capacityOn, lookAgain, stepOf } from "../../src/plan/capacity.ts";

t.test("what counts as a change", async (t) => {
	for (const [quota, step] of [
		[500 * GiB, 5 * GiB],
		[20 * GiB, 0.2 * GiB],
		[4 * GiB, 64 * MiB],
		[100 * MiB, 10 * MiB],
		[0, 0],
	] as const)
		t.equal(stepOf(quota), Math.ceil(step), `quota ${quota}`);
});

/** What is used and free, one look after the other, and the capacity that follows. All in MiB, of a quota of 10,000: a step is 100. */
type Look = readonly [used: number, free: number, capacity: number];

const quota = 10_000 * MiB;

const stories: Readonly<Record<string, readonly Look[]>> = {
	"a disk with room for all": [
		[0, 50_000, 10_000],
		[9_000, 41_000, 10_000],
	],
	"the box fills itself: nothing changes": [
		[0, 6_000, 5_900],
		[3_000, 3_000, 5_900],
		[5_900, 100, 5_900],
	],
	"others fill the disk, a little at a time": [
		[2_000, 9_000, 10_000],
		[2_000, 8_000, 10_000],
		[2_000, 7_999, 9_899],
		[2_000, 7_950, 9_899],
		[2_000, 7_899, 9_899],
		[2_000, 7_898, 9_798],
		[2_000, 0, 1_900],
	],
	"others leave the disk again": [
		[2_000, 0, 1_900],
		[1_900, 200, 1_900],
		[1_900, 201, 2_001],
		[1_900, 5_000, 6_800],
		[1_900, 8_199, 6_800 + 3_199],
		[1_900, 50_000, 9_999],
	],
	"almost at the quota, and back to it": [
		[1_000, 8_000, 8_900],
		[1_000, 50_000, 10_000],
	],
	"a disk that was full before the box came": [
		[0, 0, 0],
		[0, 100, 0],
		[0, 201, 101],
	],
};

for (const [story, looks] of Object.entries(stories))
	t.test(story, async (t) => {
		let before: number | undefined;
		for (const [used, free, capacity] of looks) {
			const disk = { used: used * MiB, free: free * MiB };
			before = capacityOn(disk, { quota, reserve: 0 }, before);
			t.equal(before / MiB, capacity, `${used} used, ${free} free`);
			t.ok(before <= disk.used + disk.free, "no more than there is");
		}
	});

t.test("a reserve is as good as taken", async (t) => {
	for (const [story, looks] of Object.entries(stories)) {
		let before: number | undefined;
		let with500: number | undefined;
		for (const [used, free] of looks) {
			const disk = { used: used * MiB, free: free * MiB };
			const less = { ...disk, free: disk.free + 500 * MiB };
			before = capacityOn(disk, { quota, reserve: 0 }, before);
			with500 = capacityOn(less, { quota, reserve: 500 * MiB }, with500);
			t.equal(with500, before, story);
		}
	}
	const nothing = { used: 0, free: 100 * MiB };
	t.equal(capacityOn(nothing, { quota, reserve: GiB }, undefined), 0);
});

t.test("the nearer the reserve, the sooner it looks again", async (t) => {
	const allowance = { quota, reserve: GiB };
	const wait = (free: number) => lookAgain({ used: 0, free }, allowance);
	t.equal(wait(0), 500);
	t.equal(wait(GiB), 500);
	t.equal(wait(GiB + 1000 * MiB), 2000, "500 MiB a second at the fastest");
	t.equal(wait(500 * GiB), 10_000);
});
