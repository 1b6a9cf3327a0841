import t from "tap";
import { planEviction, type TransientShard } from "../../src/plan/evict.ts";
import type { TitleId } from "../../src/wire/ids.ts";

function shard(name: number, bytes: number, inUse = false): TransientShard {
	return { title: "t" as TitleId, shard: name, bytes, inUse };
}
const sum = (all: readonly TransientShard[]) =>
	all.reduce((bytes, one) => bytes + one.bytes, 0);

const cases: readonly [
	what: string,
	oldestFirst: readonly TransientShard[],
	more: number,
	limit: number,
	going: readonly number[],
	enough: boolean,
][] = [
	["an empty share", [], 10, 10, [], true],
	["a shard larger than the share", [], 11, 10, [], false],
	["room enough", [shard(1, 5)], 5, 10, [], true],
	["the oldest goes", [shard(1, 5), shard(2, 5)], 5, 10, [1], true],
	["as many as it takes", [shard(1, 2), shard(2, 8)], 5, 10, [1, 2], true],
	["one in use stays", [shard(1, 5, true), shard(2, 5)], 5, 10, [2], true],
	["all in use", [shard(1, 5, true), shard(2, 5, true)], 5, 10, [], false],
	["the share became smaller", [shard(1, 5), shard(2, 5)], 0, 5, [1], true],
];
for (const [what, all, more, limit, going, enough] of cases)
	t.test(what, async (t) => {
		const plan = planEviction(all, sum(all), more, limit);
		t.same(
			plan.going.map((one) => one.shard),
			going,
		);
		t.equal(plan.enough, enough);
	});

t.test("it looks at no more shards than it has to", async (t) => {
	let looked = 0;
	function* many() {
		for (let i = 0; ; i++) {
			looked++;
			yield shard(i, 1);
		}
	}
	planEviction(many(), 1000, 3, 1000);
	t.equal(looked, 4, "three that go, and the one at which it stops");
});
