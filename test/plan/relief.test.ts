import t from "tap";
import { planRelief } from "../../src/plan/relief.ts";
import type { TitleId } from "../../src/wire/ids.ts";

/** Shards of 10 bytes by name: `a0 2` is whole and of rank 2, `a0 2 part` is not whole; ranks may be `taken-back` and `watched`. */
const shards = [
	["a0 0"],
	["a1 0 part"],
	["a2 2"],
	["a3 1", 8],
	["a4 1"],
	["a5 1 part"],
	["a6 taken-back"],
	["a7 watched"],
	["a8 2 part"],
] as const;

const standing = shards.map(([name, bytes = 10]) => {
	const [, title, shard, rank = "", part] =
		/^(.)(.) (\S+)( part)?$/.exec(name) ?? [];
	const ranks: Record<string, number> = { "taken-back": Infinity, watched: -1 };
	return {
		title: title as TitleId,
		shard: Number(shard),
		rank: ranks[rank] ?? Number(rank),
		isWhole: part === undefined,
		bytes,
	};
});

const ORDER = ["a6", "a8", "a2", "a5", "a4", "a3", "a1", "a0", "a7"];

for (const [bytes, count] of [
	[0, 0],
	[-5, 0],
	[1, 1],
	[10, 1],
	[11, 2],
	[50, 5],
	[51, 6],
	[60, 7],
	[1000, 9],
] as const)
	t.test(`${bytes} bytes take ${count} shards`, async (t) => {
		const going = planRelief(standing, bytes);
		const names = going.map(({ title, shard }) => `${title}${shard}`);
		t.same(names, ORDER.slice(0, count));
	});
