import t from "tap";
import { originShare } from "../../src/plan/trunk.ts";

t.test("all together stay below the budget, by less than half", async (t) => {
	const budget = 25e6;
	for (let filling = 1; filling <= 1000; filling++) {
		const all = originShare(budget, filling) * filling;
		t.ok(all <= budget && all > budget / 2 - filling, `${filling}: ${all}`);
	}
});

t.test("it changes seldom", async (t) => {
	const shares = Array.from({ length: 1000 }, (_, i) => originShare(25e6, i));
	t.equal(new Set(shares).size, 11);
});

t.test("0 is no limit, and nobody is starved", async (t) => {
	t.equal(originShare(0, 1000), 0);
	t.equal(originShare(1000, 1000), 16 * 1024);
});
