import t from "tap";
import { Bitfield } from "../../src/content/bitfield.ts";
import {
	type FillView,
	type Outlook,
	type PlacedView,
	planFill,
} from "../../src/plan/fill.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const FREE = { manifests: 8, origin: 4, neighbours: 8 };

/** A placed title of shards of 10 bytes. `ranks` says each shard's rank by its place, "-" for one that is not placed. */
function title(
	name: string,
	ranks: string,
	over: { held?: readonly number[]; begun?: readonly number[] } = {},
): PlacedView {
	const held = new Bitfield(ranks.length);
	for (const shard of over.held ?? []) held.add(shard);
	const id = name as TitleId;
	return {
		id,
		shards: [...ranks].flatMap((rank, shard) =>
			rank === "-" ? [] : [{ title: id, shard, rank: Number(rank), bytes: 10 }],
		),
		held,
		begun: new Set(over.begun),
	};
}

/** A placed title whose manifest is not on disk yet. */
function unknown(name: string): PlacedView {
	const id = name as TitleId;
	const begun = new Set<number>();
	return { id, shards: undefined, held: undefined, begun };
}

function plan(placed: readonly PlacedView[], over: Partial<FillView> = {}) {
	const made = planFill({
		placed,
		room: 1000,
		free: FREE,
		look: 256,
		holders: () => 1,
		outlook: (_, shard) =>
			shard === undefined || shard.rank === 0 ? "due" : "here",
		...over,
	});
	const steps = made.steps.map((step) => {
		const { kind, title } = step;
		if (kind === "fetch-manifest") return `manifest ${title}`;
		return `${title}${step.shard} ${step.origin ? "origin" : "neighbours"}`;
	});
	return { ...made, steps };
}

t.test("nothing placed is applied at once", async (t) => {
	const { steps, phase } = plan([]);
	t.same({ steps, phase }, { steps: [], phase: "applied" });
});

t.test("manifests first, then rank by rank, what is begun first", async (t) => {
	const placed = [unknown("m"), title("a", "100", { begun: [2] })];
	const { steps, phase } = plan(placed);
	t.same(steps, ["manifest m", "a2 origin", "a1 origin", "a0 neighbours"]);
	t.equal(phase, "fetching");
});

t.test("of what neighbours have, the rarest first", async (t) => {
	const placed = [title("a", "1211", { begun: [1] }), title("b", "31")];
	const counts: Record<string, number> = { a0: 3, a1: 9, a2: 1, a3: 3 };
	const holders = (id: TitleId, shard: number) => counts[`${id}${shard}`] ?? 2;
	const order = ["a1", "a2", "b1", "b0", "a0", "a3"];
	t.same(
		plan(placed, { holders }).steps,
		order.map((shard) => `${shard} neighbours`),
		"what is begun goes before; of what is as rare, lower ranks",
	);
	const free = { ...FREE, neighbours: 2 };
	t.same(plan(placed, { holders, free }).steps, [
		"a1 neighbours",
		"a2 neighbours",
	]);
});

t.test(
	"what is held is not fetched, and levels are what is seen",
	async (t) => {
		const placed = [title("a", "0-11", { held: [0, 2] })];
		const { steps, titles, ...levels } = plan(placed);
		t.same(steps, ["a3 neighbours"]);
		t.match(levels, {
			phase: "fetching",
			placedBytes: 30,
			heldBytes: 20,
			placedShards: 3,
			heldShards: 2,
			missingBytes: 0,
		});
		t.same(titles, [{ id: "a", placed: 3, held: 2, bytes: 20 }]);
	},
);

t.test(
	"what is here of a title without being placed is not told",
	async (t) => {
		const { titles, heldBytes } = plan([
			title("a", "0--", { held: [0, 1, 2] }),
		]);
		t.same(titles, [{ id: "a", placed: 1, held: 1, bytes: 10 }]);
		t.equal(heldBytes, 10);
	},
);

t.test("all held is applied; a manifest to come is not", async (t) => {
	const whole = title("a", "01", { held: [0, 1] });
	t.equal(plan([whole]).phase, "applied");
	t.equal(plan([whole, unknown("m")]).phase, "fetching");
});

const outlooks: readonly [Outlook, readonly string[], number][] = [
	["due", ["a0 origin"], 0],
	["here", ["a0 neighbours"], 0],
	["waiting", [], 1],
	["running", [], 0],
	["resting", [], 0],
];
for (const [outlook, expected, waited] of outlooks)
	t.test(`a shard that is ${outlook}`, async (t) => {
		const { steps, waiting, phase } = plan([title("a", "1")], {
			outlook: () => outlook,
		});
		t.same(steps, expected);
		t.equal(waiting.length, waited);
		t.equal(phase, "fetching");
	});

t.test("lanes bound what is under way, each for itself", async (t) => {
	const free = { manifests: 1, origin: 1, neighbours: 2 };
	const placed = [unknown("m"), unknown("n"), title("a", "001111")];
	const { steps } = plan(placed, { free });
	t.same(steps, ["manifest m", "a0 origin", "a2 neighbours", "a3 neighbours"]);
});

t.test("a full origin lane does not hold up neighbours", async (t) => {
	const free = { manifests: 8, origin: 0, neighbours: 8 };
	t.same(plan([title("a", "01")], { free }).steps, ["a1 neighbours"]);
});

t.test("it looks at a bounded number of shards each round", async (t) => {
	let looked = 0;
	const outlook = (): Outlook => {
		looked++;
		return "waiting";
	};
	plan([title("a", "1".repeat(100))], { look: 10, outlook });
	t.equal(looked, 10);
});

t.test("what does not fit is short, by how much", async (t) => {
	const placed = [title("a", "0123", { held: [0] })];
	const fetching = plan(placed, { room: 25 });
	t.same(fetching.steps, ["a1 neighbours"], "lowest ranks first");
	t.equal(fetching.phase, "fetching", "while something fits");
	t.equal(fetching.missingBytes, 20);
	t.equal(fetching.titles[0]?.short, "2-3", "and which");
	const full = plan([title("a", "0123", { held: [0, 1] })], { room: 25 });
	t.match(full, { phase: "short", missingBytes: 20, steps: [] });
});

t.test("what is begun has its room before what is not", async (t) => {
	const placed = [title("a", "0123", { held: [0], begun: [3] })];
	const { steps, missingBytes } = plan(placed, { room: 30 });
	t.same(steps, ["a3 neighbours", "a1 neighbours"]);
	t.equal(missingBytes, 10);
});

t.test("what is held stays when its room was taken away", async (t) => {
	const placed = [title("a", "012", { held: [0, 1] })];
	const { steps, phase, missingBytes } = plan(placed, { room: 15 });
	t.same(steps, []);
	t.match({ phase, missingBytes }, { phase: "short", missingBytes: 10 });
});
