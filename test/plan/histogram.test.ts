import t from "tap";
import { bucketsOf, quantile } from "../../src/plan/histogram.ts";

const bounds = [1, 2, 4];

t.test("values by bucket", async (t) => {
	t.same(bucketsOf([], bounds), [0, 0, 0, 0]);
	t.same(bucketsOf([0, 1, 1.1, 4, 4.1, 1e9], bounds), [2, 1, 1, 2]);
});

const cases: readonly [number[], number, number | undefined][] = [
	[[0, 0, 0, 0], 0.5, undefined],
	[[4, 0, 0, 0], 0.5, 0.5],
	[[2, 2, 0, 0], 0.5, 1],
	[[2, 2, 0, 0], 0.75, 1.5],
	[[0, 0, 10, 0], 0.95, 3.9],
	[[1, 0, 0, 9], 0.95, 4],
	[[0, 0, 0, 1], 0.5, 4],
];
for (const [buckets, share, value] of cases)
	t.test(`${share} of ${buckets}`, async (t) =>
		t.equal(quantile(buckets, bounds, share), value),
	);
