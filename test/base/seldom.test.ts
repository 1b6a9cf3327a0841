import t from "tap";
import { Seldom } from "../../src/base/seldom.ts";

t.test("one of a kind a minute, and how many were kept back", async (t) => {
	const seldom = new Seldom();
	t.equal(seldom.pass("a", 0), 0);
	t.equal(seldom.pass("b", 1), 0, "another kind");
	t.equal(seldom.pass("a", 2), undefined);
	t.equal(seldom.pass("a", 59_999), undefined);
	t.equal(seldom.pass("a", 60_000), 2);
	t.equal(seldom.pass("a", 60_001), undefined);
	t.equal(seldom.pass("a", 200_000), 1);
});

t.test("some of a kind a minute", async (t) => {
	const seldom = new Seldom(3);
	const told = [0, 1, 2, 3, 4].map((now) => seldom.pass("a", now));
	t.same(told, [0, 0, 0, undefined, undefined]);
	t.equal(seldom.pass("a", 60_000), 2);
});
