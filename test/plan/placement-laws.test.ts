import { createHash } from "node:crypto";
import t, { type Test } from "tap";
import { shardCount, shardFileBytes } from "../../src/content/geometry.ts";
import {
	type Assignment,
	type PlacementInput,
	type PlannedBox,
	type PlannedTitle,
	planPlacement,
} from "../../src/plan/placement.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";

const nothing: Assignment = new Map();

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
function dice(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let h = Math.imul(state ^ (state >>> 15), 1 | state);
		h = (h + Math.imul(h ^ (h >>> 7), 61 | h)) ^ h;
		return ((h ^ (h >>> 14)) >>> 0) / 2 ** 32;
	};
}

function hash(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}

function titles(count: number, shards: (i: number) => number): PlannedTitle[] {
	return Array.from({ length: count }, (_, i) => ({
		id: hash(`title ${i}`) as TitleId,
		geometry: {
			size: shards(i) * 4096 - 1000,
			blockSize: 1024,
			shardBlocks: 4,
		},
	}));
}

function boxes(
	count: number,
	capacity: (i: number) => number,
	from = 0,
): PlannedBox[] {
	return Array.from({ length: count }, (_, i) => ({
		id: hash(`box ${from + i}`) as BoxId,
		capacity: capacity(i),
		presence: 1,
		reachable: true,
	}));
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
	return list
		.map((item) => ({ item, key: random() }))
		.toSorted((a, b) => a.key - b.key)
		.map(({ item }) => item);
}

function* copiesOf(
	{ titles }: Pick<PlacementInput, "titles">,
	holders: Assignment,
) {
	for (const { id, geometry } of titles)
		for (const [shard, row] of (holders.get(id) ?? []).entries())
			for (const [rank, box] of row.entries())
				yield {
					key: `${id}/${shard}/${box}`,
					box,
					rank,
					bytes: shardFileBytes(geometry, shard),
				};
}

function loads(
	input: Pick<PlacementInput, "titles" | "boxes">,
	holders: Assignment,
	rank?: number,
) {
	const load = new Map(input.boxes.map((box) => [box.id, 0]));
	for (const copy of copiesOf(input, holders))
		if (rank === undefined || copy.rank === rank)
			load.set(copy.box, (load.get(copy.box) ?? 0) + copy.bytes);
	return load;
}

/** Copies in `after` that were not in `before`. */
function fetched(
	input: Pick<PlacementInput, "titles">,
	before: Assignment,
	after: Assignment,
) {
	const had = new Set([...copiesOf(input, before)].map(({ key }) => key));
	return [...copiesOf(input, after)].filter(({ key }) => !had.has(key));
}

function lawful(t: Test, input: PlacementInput) {
	const plan = planPlacement(input);
	const known = new Map(input.boxes.map((box) => [box.id, box]));
	const faults: string[] = [];
	for (const { id, geometry } of input.titles) {
		const rows = plan.holders.get(id) ?? [];
		if (rows.length !== shardCount(geometry))
			faults.push(`${id}: ${rows.length} rows`);
		let short = 0;
		for (const row of rows) {
			const counted = row.filter((box) => known.get(box)?.draining !== true);
			short += input.copies - counted.length;
			if (new Set(row).size !== row.length) faults.push("a box twice");
			if (counted.length > input.copies) faults.push("too many copies");
			for (const box of row)
				if (known.get(box)?.reachable !== true)
					faults.push("a box that cannot be reached");
		}
		if ((plan.missing.get(id) ?? 0) !== short)
			faults.push(`missing ${plan.missing.get(id)}, not ${short}`);
	}
	for (const [id, load] of loads(input, plan.holders))
		if (load > (known.get(id)?.capacity ?? 0))
			faults.push(`${load} on a box of ${known.get(id)?.capacity}`);
	t.same(faults.slice(0, 3), []);
	return plan.holders;
}

t.test(
	"a fleet that lives: over 40 random histories no law is ever broken",
	async (t) => {
		for (let seed = 1; seed <= 40; seed++) {
			const random = dice(seed);
			const roll = (n: number) => Math.floor(random() * n);
			let fleet = boxes(1 + roll(40), () => roll(40) * 4096);
			let shelf = titles(roll(8), () => 1 + roll(30));
			let current = nothing;
			for (let year = 0; year < 6; year++) {
				const input = {
					titles: shelf,
					boxes: fleet,
					copies: 1 + roll(5),
					current,
				};
				current = lawful(t, input);
				t.same(
					planPlacement({
						...input,
						titles: shuffled(shelf, random),
						boxes: shuffled(fleet, random),
						current: new Map(shuffled([...input.current], random)),
					}).holders,
					current,
					"the order of the input does not matter",
				);
				fleet = fleet
					.filter(() => random() > 0.1)
					.map(
						(box): PlannedBox => ({
							...box,
							capacity: random() < 0.2 ? roll(40) * 4096 : box.capacity,
							presence: random(),
							reachable: random() > 0.1,
							draining: random() < 0.1,
						}),
					)
					.concat(boxes(roll(5), () => roll(60) * 4096, 100 * (year + 1)));
				shelf = shelf
					.filter(() => random() > 0.2)
					.concat(titles(8 + year, () => 1 + roll(30)).slice(7 + year));
			}
		}
	},
);

t.test("nothing new: nothing moves", async (t) => {
	const random = dice(7);
	const input = {
		titles: titles(20, () => 40),
		boxes: boxes(60, () => (100 + random() * 100) * 4096),
		copies: 3,
		current: nothing,
	};
	const first = lawful(t, input);
	t.same(planPlacement({ ...input, current: first }).holders, first);
});

for (const [count, copies] of [
	[6, 3],
	[20, 3],
	[100, 2],
	[500, 3],
] as const) {
	const input = {
		titles: titles(30, (i) => 40 + i),
		boxes: boxes(count, () => 1e9),
		copies,
		current: nothing,
	};
	t.test(
		`${count} boxes, ${copies} copies: a box that comes takes its fair share, one that goes only its own`,
		async (t) => {
			const before = lawful(t, input);
			const total = [...copiesOf(input, before)].length;
			const more = {
				...input,
				boxes: [...input.boxes, ...boxes(1, () => 1e9, 9000)],
				current: before,
			};
			const joined = lawful(t, more);
			const came = fetched(input, before, joined);
			t.ok(
				came.length <= (1.5 / count) * total + 2,
				`${came.length} of ${total} moved`,
			);
			t.ok(
				came.length >= (0.7 / count) * total - 2,
				`${came.length} of ${total} moved`,
			);
			t.same(
				new Set(came.map(({ box }) => box)),
				new Set([hash("box 9000")]),
				"only the new box fetches",
			);
			const gone = input.boxes[0]?.id;
			const less = { ...input, boxes: input.boxes.slice(1), current: before };
			const left = lawful(t, less);
			const own = [...copiesOf(input, before)].filter(
				({ box }) => box === gone,
			).length;
			t.equal(fetched(input, before, left).length, own);
			for (const { id } of input.titles)
				for (const [shard, row] of (before.get(id) ?? []).entries()) {
					const stayed = row.filter((box) => box !== gone);
					if (
						left.get(id)?.[shard]?.slice(0, stayed.length).join() !==
						stayed.join()
					)
						t.fail("a rank changed hands");
				}
		},
	);

	t.test(
		`${count} boxes, ${copies} copies: balanced, and so is rank 0`,
		async (t) => {
			const holders = lawful(t, input);
			for (const [what, load] of [
				["copies", loads(input, holders)],
				["rank 0", loads(input, holders, 0)],
			] as const) {
				const all = [...load.values()];
				const mean = all.reduce((a, b) => a + b, 0) / all.length;
				t.ok(
					Math.max(...all) <= mean * 1.1 + 2 * 4224,
					`${what}: at most ${Math.max(...all) / mean} of the mean`,
				);
				t.ok(
					Math.min(...all) >= mean * 0.9 - 2 * 4224,
					`${what}: at least ${Math.min(...all) / mean} of the mean`,
				);
			}
		},
	);

	t.test(
		`${count} boxes, ${copies} copies: shards that follow one another are on different boxes`,
		async (t) => {
			const holders = lawful(t, input);
			let shared = 0;
			let pairs = 0;
			for (const rows of holders.values())
				for (const [shard, row] of rows.entries()) {
					const next = rows[shard + 1];
					if (next === undefined) continue;
					pairs += copies;
					shared += row.filter((box) => next.includes(box)).length;
				}
			// With two sets of boxes to choose from, only strict alternation would be perfect.
			const most = count / copies <= 2 ? 0.15 : 0.03;
			t.ok(shared <= pairs * most, `${shared} of ${pairs}`);
		},
	);
}

t.test("large boxes hold more, in proportion", async (t) => {
	const input = {
		titles: titles(40, () => 50),
		boxes: boxes(40, (i) => (i < 20 ? 1e6 : 3e6)),
		copies: 3,
		current: nothing,
	};
	const load = [...loads(input, lawful(t, input)).values()];
	const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
	t.ok(Math.abs(sum(load.slice(20)) / sum(load.slice(0, 20)) - 3) < 0.1);
});

t.test(
	"a fleet with no room to spare is filled to the last shard, first copies first",
	async (t) => {
		const input = {
			titles: titles(10, () => 30),
			boxes: boxes(50, () => 10 * (4096 + 128)),
			copies: 3,
			current: nothing,
		};
		const holders = lawful(t, input);
		const copies = [...holders.values()].flat().map((row) => row.length);
		t.ok(Math.min(...copies) >= 1);
		t.ok(copies.reduce((a, b) => a + b, 0) >= 500);
	},
);
