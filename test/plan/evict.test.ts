import t from "tap";
import { DAY, HOUR, MINUTE } from "../../src/base/time.ts";
import { type Bytes, MiB, type Millis } from "../../src/base/units.ts";
import { Demand } from "../../src/plan/demand.ts";
import { Pool } from "../../src/plan/pool.ts";
import { Transients } from "../../src/plan/transients.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const SHARD = 16 * MiB;
const isFree = () => false;

/** What happens to a box, at which minute: `a3` is shard 3 of title a. */
type Event =
	| readonly [at: number, what: "add" | "read", ...shards: string[]]
	| readonly [at: number, what: "told", copies: number, ...shards: string[]]
	| readonly [at: number, what: "gave", title: string];

const placeOf = (name: string) =>
	[name.slice(0, 1) as TitleId, Number(name.slice(1))] as const;

function after(...events: readonly Event[]): Transients {
	const transients = new Transients();
	for (const [at, what, ...rest] of events) {
		const now = at * MINUTE;
		if (what === "gave") transients.gave(`${rest[0]}` as TitleId, now);
		const copies = what === "told" ? Number(rest.shift()) : 0;
		for (const name of rest.map(String)) {
			if (what === "add") transients.add(...placeOf(name), SHARD);
			if (what === "read") transients.read(...placeOf(name), now);
			if (what === "told") transients.told(...placeOf(name), copies);
		}
	}
	return transients;
}

/** The first that goes when room for `shards` is to be made at that minute. */
function goes(
	transients: Transients,
	at: number,
	shards = 1,
	isInUse: Parameters<Transients["plan"]>[2] = isFree,
): string[] {
	const { going } = transients.plan(shards * SHARD, at * MINUTE, isInUse);
	return going.map(({ title, shard }) => `${title}${shard}`);
}

const day = DAY / MINUTE;
const cases: readonly [
	what: string,
	events: readonly Event[],
	at: number,
	order: readonly string[],
][] = [
	["nothing there", [], 0, []],
	[
		"the title read longest ago",
		[
			[0, "add", "a0", "b0"],
			[0, "read", "a0"],
			[60, "read", "b0"],
		],
		120,
		["a0", "b0"],
	],
	[
		"the title read seldomer",
		[
			[0, "add", "a0", "b0"],
			[0, "read", "a0"],
			[90, "read", "a0"],
			[120, "read", "b0"],
		],
		180,
		["b0", "a0"],
	],
	[
		"what was popular once is worth less than what is now",
		[
			[0, "add", "a0", "b0"],
			...[0, 60, 120, 180].map((at) => [at, "read", "a0"] as const),
			[3 * day, "read", "b0"],
		],
		3 * day + 60,
		["a0", "b0"],
	],
	[
		"what was read is one play however often it was asked for",
		[
			[0, "add", "a0", "b0"],
			...[0, 1, 2, 3, 4, 5].map((at) => [at, "read", "a0"] as const),
			[30, "read", "b0"],
		],
		60,
		["a0", "b0"],
	],
	[
		"the end before the beginning",
		[
			[0, "add", "a0", "a1", "a2", "a3"],
			[0, "read", "a0", "a1", "a2", "a3"],
		],
		60,
		["a3", "a2", "a1", "a0"],
	],
	[
		"after a restart, of what nobody has read yet",
		[[0, "add", "a0", "a1", "b0", "b1"]],
		60,
		["a1|b1", "a1|b1", "a0|b0", "a0|b0"],
	],
	[
		"each rendition has its own beginning",
		[
			[0, "add", "a0", "a1", "a2", "a90", "a91"],
			[0, "read", "a0", "a1", "a2", "a90", "a91"],
		],
		60,
		["a2", "a1|a91", "a1|a91", "a0|a90", "a0|a90"],
	],
	[
		"a placed shard in between is no beginning",
		[
			[0, "add", "a0", "a1", "a3", "b0", "b1"],
			[0, "read", "a0", "b0"],
		],
		60,
		["a3", "a1|b1", "a1|b1", "a0|b0", "a0|b0"],
	],
	[
		"what a neighbour has before what nobody else has",
		[
			[0, "add", "a0", "b0", "c0"],
			[0, "read", "c0"],
			...[60, 120, 180].map((at) => [at, "read", "a0", "b0"] as const),
			[200, "told", 1, "a0"],
		],
		240,
		["a0", "c0", "b0"],
	],
	[
		"a neighbour that has it no more",
		[
			[0, "add", "a0", "b0"],
			[0, "read", "b0"],
			[60, "read", "a0"],
			[60, "told", 2, "a0"],
			[90, "told", 0, "a0"],
		],
		240,
		["b0", "a0"],
	],
	[
		"what neighbours ask for is wanted as well",
		[
			[0, "add", "a0", "b0"],
			[0, "read", "a0", "b0"],
			[120, "gave", "a"],
		],
		180,
		["b0", "a0"],
	],
	[
		"what is read now and next stays",
		[
			[0, "add", "a0", "a1", "a2", "a3", "b0"],
			...[0, 120].map((at) => [at, "read", "b0"] as const),
			[240, "read", "a1"],
		],
		241,
		["a3", "a0", "b0"],
	],
	[
		"until nobody reads there any more",
		[
			[0, "add", "a0", "a1", "a2"],
			[0, "read", "a1"],
		],
		6,
		["a2", "a1", "a0"],
	],
];

for (const [what, events, at, order] of cases)
	t.test(what, async (t) => {
		const transients = after(...events);
		const all = goes(transients, at, 100);
		t.equal(all.length, order.length, `${all}`);
		for (const [i, name] of all.entries())
			t.ok(order[i]?.split("|").includes(name), `${all} is not ${order}`);
		const first = goes(transients, at);
		t.equal(first.length, Math.min(1, order.length), "no more than it takes");
		for (const name of first) t.ok(order[0]?.split("|").includes(name));
	});

t.test(
	"room is made whole, or it is said that there is too little",
	async (t) => {
		const transients = after([0, "add", "a0", "a1", "b0"]);
		t.equal(transients.bytes, 3 * SHARD);
		const plan = (bytes: Bytes, isInUse: (title: string) => boolean) => {
			const { going, enough } = transients.plan(bytes, HOUR, ({ title }) =>
				isInUse(title),
			);
			return [going.length, enough];
		};
		t.same(plan(-SHARD, isFree), [0, true]);
		t.same(plan(0, isFree), [0, true]);
		t.same(plan(1, isFree), [1, true]);
		t.same(plan(SHARD + 1, isFree), [2, true]);
		t.same(plan(3 * SHARD, isFree), [3, true]);
		t.same(plan(3 * SHARD + 1, isFree), [3, false]);
		t.same(
			plan(2 * SHARD, (title) => title === "b"),
			[2, true],
		);
		t.same(
			plan(2 * SHARD, (title) => title === "a"),
			[1, false],
		);
		t.equal(transients.bytes, 3 * SHARD, "a plan changes nothing");
		for (const { title, shard } of [...transients])
			transients.delete(title, shard);
		transients.delete("a" as TitleId, 0);
		t.equal(transients.bytes, 0);
		t.same([...transients], []);
	},
);

t.test("of many it looks at few", async (t) => {
	const transients = new Transients();
	for (let shard = 0; shard < 4096; shard++)
		transients.add("a" as TitleId, shard, SHARD);
	const looked = (shards: number) => {
		let calls = 0;
		const { going } = transients.plan(shards * SHARD, 0, () => {
			calls++;
			return false;
		});
		t.equal(going.length, shards);
		return calls;
	};
	t.equal(looked(1), 64);
	t.ok(looked(32) <= 32 * 16);
	let calls = 0;
	const { enough } = transients.plan(SHARD, 0, ({ shard }) => {
		calls++;
		return shard !== 17;
	});
	t.ok(enough, "the one that may go is found");
	t.ok(calls <= 4096, "and none is looked at twice");
});

t.test("the sample is good enough", async (t) => {
	const random = lcg();
	const transients = new Transients(random);
	const pick = () => Math.floor(random() * 64);
	for (let title = 0; title < 64; title++)
		for (let shard = 0; shard < 64; shard++)
			transients.add(`t${title}` as TitleId, shard, SHARD);
	for (let play = 0; play < 512; play++) {
		const title = `t${Math.min(pick(), pick())}` as TitleId;
		transients.read(title, 0, play * HOUR);
	}
	// Among those that go there is no beginning of what is played most.
	const { going } = transients.plan(32 * SHARD, 513 * HOUR, isFree);
	t.equal(going.length, 32);
	t.notOk(going.some(({ title, shard }) => title === "t0" && shard < 32));
});

/** Numbers in [0, 1), the same in every run. Source: Numerical Recipes' linear congruence. */
function lcg() {
	let state = 1;
	return () => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return state / 2 ** 32;
	};
}

t.test("what is remembered of titles is bounded", async (t) => {
	const demand = new Demand();
	const title = (n: number) => `t${n}` as TitleId;
	for (let n = 0; n < 5000; n++) demand.note(title(n), n);
	const unknown = demand.of("never" as TitleId, 5000);
	t.equal(demand.of(title(0), 5000), unknown);
	t.ok(demand.of(title(4999), 5000) > 0.99);
	t.ok(unknown > 0 && unknown < demand.of(title(4999), 6 * DAY));
});

t.test("plays fade by half in a day, and count once an hour", async (t) => {
	const demand = new Demand();
	const id = "a" as TitleId;
	const about = (now: Millis, plays: number) =>
		t.ok(Math.abs(demand.of(id, now) - plays) < 1e-9, `${plays} at ${now}`);
	demand.note(id, 0);
	demand.note(id, HOUR - 1);
	about(0, 1);
	about(DAY, 0.5);
	demand.note(id, DAY);
	about(DAY, 1.5);
	about(2 * DAY, 0.75);
});

t.test("a pool is drawn from without end, and nothing twice", async (t) => {
	const pool = new Pool<number>(lcg());
	t.same(pool.draw(3), []);
	for (const item of [1, 2, 3, 4, 5, 5]) pool.add(item);
	t.equal(pool.size, 5);
	const drawn = [...pool.draw(2), ...pool.draw(2, 2), ...pool.draw(2, 4)];
	t.same(drawn.toSorted(), [1, 2, 3, 4, 5]);
	for (const item of [2, 5, 7]) pool.delete(item);
	t.same(pool.draw(10).toSorted(), [1, 3, 4]);
	const seen = new Map<number, number>();
	for (let i = 0; i < 3000; i++)
		for (const item of pool.draw(1)) seen.set(item, (seen.get(item) ?? 0) + 1);
	for (const [item, times] of seen)
		t.ok(times > 800 && times < 1200, `${item} came ${times} times of 3000`);
});
