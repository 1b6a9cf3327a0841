import t from "tap";
import { handOn } from "../../src/plan/handon.ts";
import type { Assignment } from "../../src/plan/placement.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";

const [a, b, c] = ["a", "b", "c"] as BoxId[];
const [one, two] = ["one", "two"] as TitleId[];
if (!a || !b || !c || !one || !two) throw new Error();

const plan = (shards: (readonly BoxId[])[]): Assignment =>
	new Map([[one, shards]]);
const holding = (all: Record<string, number>) => (box: BoxId) => all[box] ?? 0;

t.test("nothing is taken off a box before others hold it", async (t) => {
	const current = plan([
		[b, a],
		[c, a],
		[b, a],
	]);
	const leaving = new Set([a]);
	const next = (all: Record<string, number>) =>
		handOn(current, leaving, holding(all)).get(one);
	t.same(next({ a: 3 }), current.get(one));
	t.same(next({ a: 3, b: 2 }), current.get(one), "the second is with nobody");
	t.same(next({ a: 3, b: 1, c: 1 }), current.get(one), "b lacks one of them");
	t.same(next({ b: 2, c: 1 }), [[b], [c], [b]]);
});

t.test("one that leaves is no help to another", async (t) => {
	const current = plan([[a, b]]);
	const all = holding({ a: 1, b: 1 });
	t.same(handOn(current, new Set([a, b]), all).get(one), [[a, b]]);
	t.same(handOn(current, new Set([b]), all).get(one), [[a]]);
});

t.test("title by title", async (t) => {
	const current: Assignment = new Map([
		[one, [[a, b]]],
		[two, [[a, c]]],
	]);
	const next = handOn(current, new Set([a]), holding({ b: 1 }));
	t.same([...next.values()], [[[b]], [[a, c]]]);
});
