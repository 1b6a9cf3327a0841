import t from "tap";
import { KiB, MiB, type Millis } from "../../src/base/units.ts";
import {
	chooseSource,
	type Errand,
	largestWindow,
	originPatience,
	type Rescue,
	rescueOf,
	type SourceCandidate,
	type SourceChoice,
	type SourceQuestion,
	type Standing,
	VIEWER_PATIENCE,
	viewerOriginIn,
} from "../../src/plan/source.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { FAR } from "../../src/wire/near.ts";

const BLOCK = 65_536;

function neighbour(
	name: string,
	over: Partial<SourceCandidate> = {},
): SourceCandidate {
	return {
		box: name as BoxId,
		level: FAR,
		inFlight: 0,
		window: 16 * BLOCK,
		throughput: 1e6,
		roundTrip: 0,
		...over,
	};
}

const from = (box: string, most = Number.POSITIVE_INFINITY) => ({
	from: "neighbour" as const,
	box: box as BoxId,
	most,
});
const never = Number.POSITIVE_INFINITY;

const cases: readonly [
	string,
	Partial<SourceQuestion>,
	Partial<SourceChoice>,
][] = [
	["nobody at all", { originIn: never }, { from: "nobody", wait: never }],
	[
		"nobody, and the origin's time has not come",
		{ originIn: 250 },
		{ from: "nobody", wait: 250 },
	],
	["nobody, and it has", { originIn: 0 }, { from: "origin" }],
	[
		"a neighbour goes before the origin, however long it took",
		{ candidates: [neighbour("a")], originIn: -1e6 },
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
		"of two that are as fast the nearer by level, though it is needed now",
		{
			candidates: [neighbour("a"), neighbour("b", { level: 1 })],
			slack: 0,
		},
		from("b", 1),
	],
	[
		"the nearest of those that have time, however fast others are",
		{
			candidates: [
				neighbour("a", { throughput: 8e6 }),
				neighbour("b", { throughput: 2e5, level: 2 }),
				neighbour("c", { throughput: 1e5, level: 1 }),
			],
			slack: 20_000,
		},
		from("c"),
	],
	[
		"of two on one level the faster",
		{
			candidates: [
				neighbour("a", { level: 0 }),
				neighbour("b", { level: 0, throughput: 2e6 }),
			],
			slack: 20_000,
		},
		from("b"),
	],
	[
		"the first to have sent it, where the nearest would take the leisure",
		{
			candidates: [
				neighbour("a"),
				neighbour("b", { throughput: 60_000, level: 0 }),
			],
			slack: 4000,
		},
		from("a", 1),
	],
	[
		"nobody near for what is late",
		{
			candidates: [
				neighbour("a"),
				neighbour("b", { throughput: 9e5, level: 0 }),
			],
			slack: -1000,
		},
		from("a", 1),
	],
	[
		"fill comes from the nearest that has room",
		{
			candidates: [
				neighbour("a", { throughput: 8e6 }),
				neighbour("b", { level: 0, inFlight: 16 * BLOCK }),
				neighbour("c", { level: 2, throughput: 1e5 }),
			],
		},
		from("c"),
	],
	[
		"one whose window is full is not asked",
		{
			candidates: [neighbour("a", { inFlight: 16 * BLOCK })],
			originIn: never,
		},
		{ from: "nobody", wait: never },
	],
	[
		"a viewer's block goes on top of what fill has in flight",
		{
			candidates: [neighbour("a", { inFlight: 16 * BLOCK })],
			slack: 0,
			originIn: never,
		},
		from("a", 1),
	],
	[
		"but not without a bound",
		{
			candidates: [neighbour("a", { inFlight: 32 * BLOCK })],
			slack: 0,
			originIn: 1500,
		},
		{ from: "nobody", wait: 1500 },
	],
	[
		"a block larger than the window, when nothing else is in flight",
		{ candidates: [neighbour("a", { window: BLOCK / 2 })] },
		from("a"),
	],
	[
		"one too slow for a block that is needed now",
		{
			candidates: [neighbour("a", { throughput: 25_000 })],
			slack: 0,
			originIn: 100,
		},
		{ from: "nobody", wait: 100 },
	],
	[
		"but not for one that is needed later",
		{
			candidates: [neighbour("a", { throughput: 25_000 })],
			slack: 20_000,
			originIn: 100,
		},
		from("a"),
	],
	[
		"one with too much else to do, while the origin is not to be asked",
		{
			candidates: [neighbour("a", { inFlight: 10 * BLOCK })],
			slack: 500,
			originIn: 100,
		},
		from("a", 1),
	],
	[
		"and once it is",
		{ candidates: [neighbour("a", { inFlight: 10 * BLOCK })], slack: 500 },
		{ from: "origin" },
	],
	[
		"for what is late a moment more or less is nothing",
		{ candidates: [neighbour("a", { inFlight: 8 * BLOCK })], slack: -500 },
		from("a", 1),
	],
	[
		"nor when there is no origin",
		{
			candidates: [neighbour("a", { throughput: 25_000 })],
			slack: 0,
			originIn: never,
		},
		from("a", 1),
	],
	[
		"a viewer asks a fast one for what it sends in 50 ms",
		{ candidates: [neighbour("a", { throughput: 1e7 })], slack: 0 },
		from("a", 7),
	],
];
for (const [what, over, expected] of cases)
	t.test(what, async (t) => {
		const question: SourceQuestion = {
			bytes: BLOCK,
			candidates: [],
			slack: never,
			originIn: 0,
			...over,
		};
		t.match(chooseSource(question), expected);
	});

const errand = (over: Partial<Errand> = {}): Errand => ({
	...{ age: 700, takes: 100, urgent: true },
	...over,
});
/** A block that is wanted in two seconds, and not the very next. */
const soon = { isNext: false, slack: 2_000 };
const next = { isNext: true, slack: 2_000 };

const rescues: readonly [
	string,
	readonly Errand[],
	typeof soon,
	Rescue["by"],
	Millis?,
][] = [
	["who was asked gets a while", [errand({ age: 400 })], next, "nobody", 200],
	[
		"as long as he is likely to take",
		[errand({ takes: 1_000 })],
		next,
		"nobody",
		300,
	],
	["within reason", [errand({ takes: 9_000 })], next, "nobody", 800],
	["what is next is asked for twice", [errand()], next, "another"],
	["what comes after it, not yet", [errand()], soon, "nobody", 1_000],
	["but before it is late", [errand()], { ...soon, slack: 1_000 }, "surest"],
	[
		"of two that were asked, the later one gets a while, too",
		[errand(), errand({ age: 100 })],
		next,
		"nobody",
		500,
	],
	[
		"two that do not give it, when it is at risk",
		[errand(), errand()],
		{ isNext: true, slack: 1_000 },
		"surest",
	],
	[
		"all that may be asked, and it is late",
		[errand(), errand(), errand(), errand()],
		{ isNext: true, slack: -1_000 },
		"nobody",
		600,
	],
	[
		"what was asked for with time to spare, and has none any more",
		[errand({ urgent: false }), errand({ urgent: false })],
		{ isNext: false, slack: 4_000 },
		"urgency",
	],
	[
		"what has some",
		[errand({ urgent: false })],
		{ isNext: false, slack: 9_000 },
		"nobody",
		5_000,
	],
	[
		"though it is next",
		[errand({ urgent: false })],
		{ isNext: true, slack: 9_000 },
		"another",
	],
];
for (const [what, errands, standing, by, wait] of rescues)
	t.test(`asked for, and it does not come: ${what}`, async (t) => {
		const rescue = rescueOf(errands, standing, VIEWER_PATIENCE);
		t.same(rescue, wait === undefined ? { by } : { by, wait });
	});

t.test(
	"a viewer's block comes over the trunk when it is at risk",
	async (t) => {
		const table: readonly [string, Partial<Standing>, Millis][] = [
			["holders are looked for", {}, 400],
			["nobody has it", { waited: 400 }, 0],
			[
				"a turn is not waited for by who is late",
				{ waited: 400, turn: 1500 },
				0,
			],
			[
				"nor beyond what puts it at risk",
				{ waited: 400, turn: 1500, slack: 5_000 },
				1_000,
			],
			[
				"others have their turn",
				{ waited: 400, turn: 1500, slack: 9_000 },
				1500,
			],
			["somebody has it", { held: true }, 1_500],
			["who does not give it", { held: true, waited: 1_500 }, 0],
			["in a film that runs", { held: true, waited: 300, slack: 1_200 }, 200],
			["that is at risk", { held: true, waited: 500, slack: 1_000 }, 0],
			[
				"nor though it is late",
				{ held: true, waited: 1_500, slack: -5_000 },
				0,
			],
			["there is time", { held: true, waited: 9_000, slack: 20_000 }, 18_000],
			["there is none left", { held: true, waited: 9_000, slack: 2_000 }, 0],
		];
		for (const [what, over, expected] of table) {
			const standing = { held: false, waited: 0, turn: 0, slack: 0, ...over };
			const wait = viewerOriginIn(VIEWER_PATIENCE, standing);
			t.equal(Math.max(0, wait), expected, what);
		}
	},
);

t.test("a choice says how long it is likely to take", async (t) => {
	const choice = chooseSource({
		bytes: BLOCK,
		candidates: [neighbour("a", { inFlight: BLOCK, roundTrip: 30 })],
		slack: 0,
		originIn: never,
	});
	t.match(choice, { takes: 30 + (2 * BLOCK) / 1000 });
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

t.test("what all neighbours owe together is bounded", (t) => {
	t.equal(largestWindow(0), 16 * MiB);
	t.equal(largestWindow(1), 16 * MiB);
	t.equal(largestWindow(8), 2 * MiB);
	for (let neighbours = 1; neighbours <= 64; neighbours++)
		t.ok(neighbours * largestWindow(neighbours) <= 16 * MiB, `${neighbours}`);
	t.equal(largestWindow(128), 256 * KiB, "a request each, however many");
	t.end();
});
