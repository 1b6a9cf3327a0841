import t from "tap";
import { nextToScrub } from "../../src/plan/scrub.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const held: Record<string, readonly number[]> = { b: [], a: [0, 3], c: [2] };
const titles = Object.keys(held) as TitleId[];
const after = (title: string, shard: number) => {
	const place = { title: title as TitleId, shard };
	return nextToScrub(titles, (id) => held[id] ?? [], place);
};

t.test("every held shard in turn, whatever came and went", async (t) => {
	const first = nextToScrub(titles, (id) => held[id] ?? [], undefined);
	t.same(first, { title: "a", shard: 0 });
	t.same(after("a", 0), { title: "a", shard: 3 });
	t.same(after("a", 1), { title: "a", shard: 3 });
	t.same(after("a", 3), { title: "c", shard: 2 });
	t.same(after("b", 7), { title: "c", shard: 2 }, "a title that is gone");
	t.equal(after("c", 2), undefined, "the end");
	t.equal(
		nextToScrub([], () => [], undefined),
		undefined,
	);
});
