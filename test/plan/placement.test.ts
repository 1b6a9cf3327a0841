import t from "tap";
import { holdersOf, placedTitles, tableOf } from "../../src/plan/assignment.ts";
import {
	type Assignment,
	type PlannedBox,
	planPlacement,
} from "../../src/plan/placement.ts";
import { fairShares } from "../../src/plan/share.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";

const KIB = 1024;
/** A shard of one 1 KiB block is 1,056 bytes on disk. */
const SHARD = KIB + 32;

function title(name: string, shards: number) {
	return {
		id: name.repeat(64).slice(0, 64) as TitleId,
		geometry: { size: shards * KIB, blockSize: KIB, shardBlocks: 1 },
	};
}

function box(name: string, over: Partial<PlannedBox> = {}): PlannedBox {
	return {
		id: name.repeat(64).slice(0, 64) as BoxId,
		capacity: 100 * SHARD,
		presence: 1,
		reachable: true,
		...over,
	};
}

/** Boxes by their first letter, ranked: `["ab", "ba"]` is two shards. */
function brief(assignment: Assignment, id: TitleId): string[] {
	return (assignment.get(id) ?? []).map((row) =>
		row.map((holder) => holder[0]).join(""),
	);
}

function held(id: TitleId, rows: string[]): Assignment {
	return new Map([
		[id, rows.map((row) => [...row].map((name) => box(name).id))],
	]);
}

const film = title("f", 4);
const nothing: Assignment = new Map();

t.test("nothing to place, or nowhere to place it", async (t) => {
	const empty = planPlacement({
		titles: [],
		boxes: [],
		copies: 3,
		current: nothing,
	});
	t.equal(empty.holders.size, 0);
	t.equal(
		planPlacement({
			titles: [],
			boxes: [box("a")],
			copies: 3,
			current: nothing,
		}).missing.size,
		0,
	);
	const homeless = planPlacement({
		titles: [film],
		boxes: [],
		copies: 3,
		current: nothing,
	});
	t.same(brief(homeless.holders, film.id), ["", "", "", ""]);
	t.equal(homeless.missing.get(film.id), 12);
	const full = planPlacement({
		titles: [film],
		boxes: [box("a", { capacity: 10 })],
		copies: 1,
		current: nothing,
	});
	t.equal(full.missing.get(film.id), 4);
});

t.test(
	"fewer boxes than copies: each has everything, and the rest is missing",
	async (t) => {
		const plan = planPlacement({
			titles: [film],
			boxes: [box("a"), box("b")],
			copies: 3,
			current: nothing,
		});
		for (const row of brief(plan.holders, film.id))
			t.ok(row === "ab" || row === "ba", row);
		t.equal(plan.missing.get(film.id), 4);
	},
);

t.test(
	"six boxes, two copies: neighbouring shards hardly ever share a box",
	async (t) => {
		const boxes = ["a", "b", "c", "d", "e", "1"].map((name) => box(name));
		const rows = brief(
			planPlacement({
				titles: [title("f", 30)],
				boxes,
				copies: 2,
				current: nothing,
			}).holders,
			title("f", 30).id,
		);
		const again = rows.filter((row, i) =>
			[...row].some((name) => rows[i + 1]?.includes(name)),
		);
		t.ok(again.length <= 3, `${again.length} of ${rows.length}: ${rows}`);
	},
);

t.test(
	"what is placed stays, and the ranks after a lost box move up",
	async (t) => {
		const current = held(film.id, ["abc", "bca", "cab", "abd"]);
		const boxes = ["a", "c", "d"].map((name) => box(name));
		const plan = planPlacement({ titles: [film], boxes, copies: 3, current });
		t.same(brief(plan.holders, film.id), ["acd", "cad", "cad", "adc"]);
	},
);

t.test(
	"newcomers take copies behind those who have the shard: nobody new asks the origin for it",
	async (t) => {
		const names = [..."abcdef0123456789"];
		const titles = [title("f", 64), title("9", 64)];
		const plan = (boxes: readonly string[], current: Assignment) =>
			planPlacement({
				titles,
				boxes: boxes.map((name) => box(name)),
				copies: 3,
				current,
			}).holders;
		const few = plan(names.slice(0, 4), nothing);
		const many = plan(names, few);
		let moved = 0;
		for (const { id } of titles) {
			const before = brief(few, id);
			for (const [shard, row] of brief(many, id).entries()) {
				const had = before[shard] ?? "";
				t.equal(row[0], had[0], `shard ${shard}: ${had} to ${row}`);
				moved += [...row].filter((name) => !had.includes(name)).length;
			}
		}
		t.ok(moved > 128, `${moved} copies moved`);
	},
);

t.test("who leads everything so far leads little of what is new", async (t) => {
	const long = title("9", 60);
	const current = held(film.id, ["abc", "abc", "abc", "abc"]);
	const boxes = [..."abcd"].map((name) => box(name));
	const plan = planPlacement({
		titles: [film, long],
		boxes,
		copies: 3,
		current,
	});
	const leads = brief(plan.holders, long.id).map((row) => row[0]);
	const count = (name: string) => leads.filter((lead) => lead === name).length;
	t.equal(count("a"), 12);
	t.equal(count("b"), 16);
});

t.test("an unreachable box gets nothing and loses what it had", async (t) => {
	const current = held(film.id, ["a", "b", "a", "b"]);
	const boxes = [box("a", { reachable: false }), box("b")];
	const plan = planPlacement({ titles: [film], boxes, copies: 1, current });
	t.same(brief(plan.holders, film.id), ["b", "b", "b", "b"]);
});

t.test(
	"a draining box keeps what it has, last and uncounted; when it is back, nothing moves to it",
	async (t) => {
		const current = held(film.id, ["ab", "ba", "ab", "ba"]);
		const away = [box("a", { draining: true }), box("b"), box("c")];
		const drained = planPlacement({
			titles: [film],
			boxes: away,
			copies: 2,
			current,
		});
		t.same(brief(drained.holders, film.id), ["bca", "bca", "bca", "bca"]);
		const back = planPlacement({
			titles: [film],
			boxes: ["a", "b", "c"].map((name) => box(name)),
			copies: 2,
			current: drained.holders,
		});
		for (const row of brief(back.holders, film.id)) t.equal(row.length, 2);
		t.ok(
			brief(back.holders, film.id).join("").split("a").length > 2,
			"it serves again what it still has",
		);
	},
);

t.test("a box that shrank gives up its last ranks first", async (t) => {
	const current = held(film.id, ["ab", "ba", "ab", "ba"]);
	const boxes = [box("a", { capacity: 2 * SHARD }), box("b")];
	const rows = brief(
		planPlacement({ titles: [film], boxes, copies: 2, current }).holders,
		film.id,
	);
	t.same(rows, ["ab", "b", "ab", "b"]);
});

t.test("a box that grew back takes copies again", async (t) => {
	const current = held(film.id, ["ab", "b", "ab", "b"]);
	const boxes = [box("a", { capacity: 4 * SHARD }), box("b")];
	const rows = brief(
		planPlacement({ titles: [film], boxes, copies: 2, current }).holders,
		film.id,
	);
	t.same(rows, ["ab", "ba", "ab", "ba"]);
});

t.test("fewer copies wanted: one of each goes", async (t) => {
	const current = held(film.id, ["abc", "bca", "cab", "abc"]);
	const boxes = ["a", "b", "c"].map((name) => box(name));
	const rows = brief(
		planPlacement({ titles: [film], boxes, copies: 1, current }).holders,
		film.id,
	);
	for (const row of rows) t.equal(row.length, 1);
});

t.test("boxes that are rarely there get less", async (t) => {
	const boxes = [..."abcd"].map((name) =>
		box(name, { presence: name === "a" ? 0.25 : 1 }),
	);
	const long = title("f", 130);
	const rows = brief(
		planPlacement({ titles: [long], boxes, copies: 1, current: nothing })
			.holders,
		long.id,
	);
	const count = (name: string) => rows.filter((row) => row === name).length;
	t.ok(Math.abs(count("a") - 10) <= 2, `${count("a")} of 130`);
	t.ok(Math.abs(count("b") - 40) <= 3, `${count("b")} of 130`);
});

t.test(
	"shares: in proportion, capped, and the rest goes to the others",
	async (t) => {
		const of = (demand: number, weights: number[], limits: number[]) => [
			...fairShares(
				demand,
				Float64Array.from(weights),
				Float64Array.from(limits),
			),
		];
		t.same(of(12, [1, 2, 3], [100, 100, 100]), [2, 4, 6]);
		t.same(of(12, [1, 2, 3], [100, 100, 3]), [3, 6, 3]);
		t.same(of(99, [1, 2, 3], [1, 2, 3]), [1, 2, 3]);
		t.same(of(10, [0, 1], [5, 5]), [0, 5]);
		t.same(of(0, [1], [5]), [0]);
	},
);

t.test("each box is told its part, each title lists its holders", async (t) => {
	const other = title("9", 2);
	const assignment: Assignment = new Map([
		...held(film.id, ["ab", "ab", "ba", "a"]),
		...held(other.id, ["b", ""]),
	]);
	t.same(
		[...placedTitles(assignment)],
		[
			[
				box("b").id,
				[
					{ id: other.id, ranks: [{ rank: 0, shards: "0" }] },
					{
						id: film.id,
						ranks: [
							{ rank: 0, shards: "2" },
							{ rank: 1, shards: "0-1" },
						],
					},
				],
			],
			[
				box("a").id,
				[
					{
						id: film.id,
						ranks: [
							{ rank: 0, shards: "0-1,3" },
							{ rank: 1, shards: "2" },
						],
					},
				],
			],
		],
	);
	const table = tableOf(assignment.get(film.id) ?? []);
	t.same(table, {
		boxes: [box("a").id, box("b").id],
		shards: [[0, 1], [0, 1], [1, 0], [0]],
	});
	t.same(holdersOf(table), assignment.get(film.id));
});
