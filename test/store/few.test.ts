import t from "tap";
import { Few } from "../../src/store/few.ts";

t.test("a map of few is a map", (t) => {
	const few = new Few<string>();
	t.equal(few.get(3), undefined);
	t.notOk(few.has(3));
	t.notOk(few.delete(3));
	t.same(few.entries(), []);
	few.set(3, "three");
	few.set(1, "one");
	few.set(3, "again");
	t.ok(few.has(3));
	t.equal(few.get(3), "again");
	t.same(few.keys(), [3, 1], "in the order in which they came");
	t.same(few.values(), ["again", "one"]);
	for (const key of few.keys()) t.ok(few.delete(key));
	t.same(few.entries(), []);
	few.set(2, "two");
	t.same(few.entries(), [[2, "two"]], "it is of use again");
	t.end();
});
