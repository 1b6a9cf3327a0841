import t from "tap";
import { Bitfield } from "../../src/content/bitfield.ts";
import { rarestFirst } from "../../src/plan/rarest.ts";

const wanted = Array.from({ length: 16 }, (_, block) => ({ block }));

function neighbour(...has: readonly number[]) {
	const blocks = new Bitfield(16);
	for (const block of has) blocks.add(block);
	return { blocks };
}
const order = (seed: number, ...neighbours: ReturnType<typeof neighbour>[]) =>
	rarestFirst(wanted, neighbours, seed).map(({ block }) => block);

t.test("what fewest have comes first", async (t) => {
	const all = neighbour(...wanted.keys());
	const most = neighbour(...[...wanted.keys()].filter((b) => b !== 9));
	const some = neighbour(0, 1, 2, 3, 12);
	const [first, ...rest] = order(1, all, most, some);
	t.equal(first, 9);
	t.same(
		rest.slice(-5).toSorted((a, b) => a - b),
		[0, 1, 2, 3, 12],
	);
	t.same(
		rest.toSorted((a, b) => a - b),
		[...wanted.keys()].filter((b) => b !== 9),
		"each once",
	);
});

t.test("what nobody has stays in a row", async (t) => {
	const blocks = order(7, neighbour(0, 1, 2, 3, 8));
	t.same(blocks.slice(0, 11), [4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]);
});

t.test("of what is as rare, boxes take others first", async (t) => {
	const orders = new Set<string>();
	for (let seed = 0; seed < 20; seed++) {
		const blocks = order(seed, neighbour(...wanted.keys()));
		orders.add(`${blocks}`);
		for (let at = 0; at < 16; at += 4)
			t.same(
				blocks.slice(at, at + 4),
				[0, 1, 2, 3].map((i) => (blocks[at] ?? 0) + i),
				"in runs that one request brings",
			);
	}
	t.ok(orders.size > 10, `${orders.size} orders of 24`);
	t.same(order(7), order(7), "the same seed, the same order");
});
