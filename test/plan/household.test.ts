import t from "tap";
import { HOUR, MINUTE, SECOND } from "../../src/base/time.ts";
import { KiB, type Limit, MiB } from "../../src/base/units.ts";
import {
	type HouseholdView,
	judge,
	stricter,
} from "../../src/plan/household.ts";

const NOW = 100 * HOUR;
const EVER = Number.NEGATIVE_INFINITY;

const quiet: HouseholdView = {
	now: NOW,
	part: "in",
	isPaused: false,
	told: { activity: "idle", at: EVER },
	underrunAt: EVER,
	stream: 0,
	uplink: Number.POSITIVE_INFINITY,
	isPressed: false,
	up: 0,
	upActive: "none",
};
const live = { told: { activity: "live", at: NOW } } as const;
const UP = 2 * MiB;

const CASES: readonly [
	name: string,
	view: Partial<HouseholdView>,
	want: { give: Limit; why?: string; waits?: string },
][] = [
	["nothing is known", {}, { give: 0 }],
	["a limit is configured", { up: UP }, { give: UP }],
	["live", live, { give: "none", why: "live", waits: "live" }],
	[
		"live, and a rate for it",
		{ ...live, up: UP, upActive: 1 * MiB },
		{ give: MiB, why: "live", waits: "live" },
	],
	[
		"a rate for it above the one in all",
		{ ...live, up: UP, upActive: 3 * MiB },
		{ give: UP, why: "live", waits: "live" },
	],
	[
		"a recording",
		{ told: { activity: "recording", at: NOW - 3 * HOUR } },
		{ give: "none", why: "recording", waits: "recording" },
	],
	[
		"told so long ago that nobody can still be watching",
		{ told: { activity: "live", at: NOW - 4 * HOUR } },
		{ give: 0 },
	],
	[
		"paused goes before all that is told",
		{ ...live, isPaused: true, upActive: UP },
		{ give: "none", why: "paused", waits: "paused" },
	],
	[
		"opted out",
		{ part: "out", isPaused: true },
		{ give: "none", why: "opted-out", waits: "opted-out" },
	],
	["draining gives", { part: "draining" }, { give: 0, waits: "draining" }],
	[
		"a player stuttered",
		{ underrunAt: NOW - 59 * SECOND, upActive: UP },
		{ give: "none", why: "underrun", waits: "underrun" },
	],
	["a minute later", { underrunAt: NOW - MINUTE }, { give: 0 }],
	[
		"pressure holds filling alone",
		{ isPressed: true },
		{ give: 0, waits: "pressure" },
	],
	[
		"the uplink carries less",
		{ up: UP, uplink: MiB },
		{ give: MiB, why: "uplink" },
	],
	["the uplink carries more", { up: MiB, uplink: UP }, { give: MiB }],
	[
		"the household fills the uplink",
		{ up: UP, uplink: 0 },
		{ give: "none", why: "uplink", waits: "uplink" },
	],
	[
		"an own stream from the origin, and a rate for it",
		{ stream: MiB, up: UP, upActive: MiB },
		{ give: MiB, why: "stream" },
	],
	[
		"viewers of one title at the origin go on giving each other",
		{ stream: MiB, up: UP },
		{ give: UP },
	],
	[
		"a block from the origin is no stream",
		{ stream: 63 * KiB, up: UP, upActive: MiB },
		{ give: UP },
	],
];

for (const [name, view, want] of CASES) {
	t.test(name, async (t) => {
		const { quietSince: _, ...verdict } = judge(EVER, { ...quiet, ...view });
		t.same(verdict, { why: undefined, waits: undefined, ...want });
	});
}

t.test("it comes back gradually", async (t) => {
	let { quietSince } = judge(EVER, { ...quiet, ...live });
	const after = (span: number, up = MiB) => {
		const verdict = judge(quietSince, { ...quiet, now: NOW + span, up });
		quietSince = verdict.quietSince;
		return [verdict.give, verdict.why, verdict.waits];
	};
	t.same(after(0), ["none", "returning", "returning"]);
	t.same(after(9 * SECOND), ["none", "returning", "returning"], "zapping");
	t.same(after(10 * SECOND), [64 * KiB, "returning", undefined]);
	t.same(after(12 * SECOND), [128 * KiB, "returning", undefined]);
	t.same(after(17 * SECOND)[1], "returning");
	t.same(after(18 * SECOND), [MiB, undefined, undefined]);
	t.same(after(HOUR, 0)[0], 0, "without a limit in the end, too");
	const again = judge(quietSince, { ...quiet, ...live, now: NOW + 2 * HOUR });
	t.equal(again.quietSince, NOW + 2 * HOUR);
});

t.test("the stricter of two limits", async (t) => {
	const all: readonly [Limit, Limit, Limit][] = [
		[0, 0, 0],
		[0, 5, 5],
		[5, 0, 5],
		[5, 6, 5],
		["none", 0, "none"],
		[5, "none", "none"],
	];
	for (const [a, b, want] of all) t.equal(stricter(a, b), want);
});
