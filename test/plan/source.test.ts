import t from "tap";
import {
	chooseSource,
	originPatience,
	type SourceCandidate,
	type SourceChoice,
	type SourceQuestion,
} from "../../src/plan/source.ts";
import type { BoxId } from "../../src/wire/ids.ts";

const BLOCK = 65_536;

function neighbour(
	name: string,
	over: Partial<SourceCandidate> = {},
): SourceCandidate {
	return {
		box: name as BoxId,
		inFlight: 0,
		window: 16 * BLOCK,
		throughput: 1e6,
		roundTrip: 0,
		...over,
	};
}

const from = (box: string, most = Number.POSITIVE_INFINITY): SourceChoice => ({
	from: "neighbour",
	box: box as BoxId,
	most,
});
const never = Number.POSITIVE_INFINITY;

const cases: readonly [string, Partial<SourceQuestion>, SourceChoice][] = [
	["nobody at all", { originAfter: never }, { from: "nobody", wait: never }],
	[
		"nobody, and the origin's time has not come",
		{ originAfter: 400, waited: 150 },
		{ from: "nobody", wait: 250 },
	],
	["nobody, and it has", { originAfter: 400, waited: 400 }, { from: "origin" }],
	[
		"a neighbour goes before the origin, however long it took",
		{ candidates: [neighbour("a")], originAfter: 0, waited: 1e6 },
		from("a"),
	],
	[
		"the faster of two",
		{ candidates: [neighbour("a"), neighbour("b", { throughput: 2e6 })] },
		from("b"),
	],
	[
		"the slower one, once the faster is busy for longer",
		{
			candidates: [
				neighbour("a"),
				neighbour("b", { throughput: 2e6, inFlight: 4 * BLOCK }),
			],
		},
		from("a"),
	],
	[
		"the nearer of two that are as fast",
		{ candidates: [neighbour("a", { roundTrip: 30 }), neighbour("b")] },
		from("b"),
	],
	[
		"an unproven one is taken for an uplink of 5 Mbit/s",
		{
			candidates: [
				neighbour("a", { throughput: 600_000 }),
				neighbour("new", { throughput: 0 }),
				neighbour("b", { throughput: 600_000 }),
			],
		},
		from("new"),
	],
	[
		"one whose window is full is not asked",
		{
			candidates: [neighbour("a", { inFlight: 16 * BLOCK })],
			originAfter: never,
		},
		{ from: "nobody", wait: never },
	],
	[
		"a viewer's block goes on top of what fill has in flight",
		{
			candidates: [neighbour("a", { inFlight: 16 * BLOCK })],
			urgent: true,
			originAfter: never,
		},
		from("a", 1),
	],
	[
		"but not without a bound",
		{
			candidates: [neighbour("a", { inFlight: 32 * BLOCK })],
			urgent: true,
			originAfter: 1500,
		},
		{ from: "nobody", wait: 1500 },
	],
	[
		"a block larger than the window, when nothing else is in flight",
		{ candidates: [neighbour("a", { window: BLOCK / 2 })] },
		from("a"),
	],
	[
		"a viewer asks a fast one for what it sends in 50 ms",
		{ candidates: [neighbour("a", { throughput: 1e7 })], urgent: true },
		from("a", 7),
	],
];
for (const [what, over, expected] of cases)
	t.test(what, async (t) => {
		const question: SourceQuestion = {
			bytes: BLOCK,
			candidates: [],
			urgent: false,
			waited: 0,
			originAfter: 0,
			...over,
		};
		t.same(chooseSource(question), expected);
	});

t.test("ranks go to the origin one after the other", async (t) => {
	const patience = (isAwaited: boolean) =>
		[0, 1, 2].map((rank) => originPatience(rank, 5000, isAwaited));
	t.same(patience(false), [0, 5000, 10_000]);
	const awaited = patience(true);
	t.equal(awaited[0], 0, "rank 0 never waits");
	t.ok(
		(awaited[1] ?? 0) > 10_000,
		"who has a living one before it waits longer than any that has none",
	);
});
