import t from "tap";
import { HOUR, MINUTE } from "../../src/base/time.ts";
import { leaveAt, Week } from "../../src/plan/hours.ts";
import { isZone, readWindows } from "../../src/plan/windows.ts";
import type { FillWindow } from "../../src/wire/hours.ts";

function windows(...given: object[]): FillWindow[] {
	const read = readWindows(given);
	if (!read.ok) throw new Error(read.detail);
	return read.value;
}

const week = (zone: string, ...given: object[]) =>
	new Week({ zone, windows: windows(...given) });
const at = (text: string) => Date.parse(text);

t.test("windows as they are written", async (t) => {
	const all = { trunk: 0, neighbours: 0, up: 0, standby: false };
	const every = [0, 1, 2, 3, 4, 5, 6];
	for (const [given, read] of [
		[{}, { ...all, days: every, from: 0, to: 24 }],
		[
			{ days: "mon-fri", hours: "1-6" },
			{ ...all, days: [0, 1, 2, 3, 4], from: 1, to: 6 },
		],
		[
			{ days: "Fri-Mon", hours: "22-0" },
			{ ...all, days: [0, 4, 5, 6], from: 22, to: 24 },
		],
		[
			{ days: "sat, sun", hours: "22 - 6", standby: true },
			{ ...all, days: [5, 6], from: 22, to: 6, standby: true },
		],
		[
			{ trunk: "none", neighbours: "8 Mbit/s", up: "80 kbit/s" },
			{
				...all,
				...{ days: every, from: 0, to: 24 },
				...{ trunk: null, neighbours: 1_000_000, up: 10_000 },
			},
		],
	] as const)
		t.same(windows(given), [read], JSON.stringify(given));
	for (const [given, says] of [
		["mon", /takes windows/],
		[{ hours: "1-25" }, /takes windows/],
		[[{ hours: "1-25" }], /window 1: hours takes/],
		[[{}, { hours: "24-3" }], /window 2: hours takes/],
		[[{ hours: 3 }], /hours takes/],
		[[{ days: "mon-wed-fri" }], /days takes/],
		[[{ days: "monday" }], /days takes/],
		[[{ days: "" }], /days takes/],
		[[{ trunk: 20 }], /trunk takes/],
		[[{ neighbours: "fast" }], /neighbours takes/],
		[[{ up: "none" }], /up takes/],
		[[{ standby: "yes" }], /standby takes/],
		[[{ hour: "1-6" }], /hour is none of/],
		[[3], /takes windows/],
	] as const) {
		const read = readWindows(given);
		t.match(
			read.ok ? "" : read.detail,
			says,
			`${JSON.stringify(given)} is refused`,
		);
	}
});

t.test("zones", async (t) => {
	for (const zone of ["UTC", "Europe/Berlin", "Asia/Kolkata"])
		t.ok(isZone(zone), zone);
	for (const zone of ["", "Berlin", "Europe/Entenhausen"])
		t.notOk(isZone(zone), zone);
});

/** What a week of windows leaves at a moment. 2027-01-04 is a Monday. */
const NIGHT = { days: "mon-fri", hours: "1-6", trunk: "8 Mbit/s" };
const ACROSS = { days: "sun", hours: "22-6" };
const moments: Readonly<
	Record<
		string,
		readonly [zone: string, given: object[], at: string, open: boolean][]
	>
> = {
	"the hour in which it begins and the one in which it is over": [
		["UTC", [NIGHT], "2027-01-04T00:59:59Z", false],
		["UTC", [NIGHT], "2027-01-04T01:00:00Z", true],
		["UTC", [NIGHT], "2027-01-04T05:59:59Z", true],
		["UTC", [NIGHT], "2027-01-04T06:00:00Z", false],
		["UTC", [NIGHT], "2027-01-09T03:00:00Z", false],
	],
	"a window that begins on Sunday and goes on into Monday": [
		["UTC", [ACROSS], "2027-01-03T21:59:00Z", false],
		["UTC", [ACROSS], "2027-01-03T22:00:00Z", true],
		["UTC", [ACROSS], "2027-01-04T05:59:00Z", true],
		["UTC", [ACROSS], "2027-01-04T06:00:00Z", false],
		["UTC", [ACROSS], "2027-01-04T22:00:00Z", false],
	],
	"the clock on the wall": [
		["Europe/Berlin", [NIGHT], "2027-01-04T00:00:00Z", true],
		["Europe/Berlin", [NIGHT], "2027-07-05T00:00:00Z", true],
		["Europe/Berlin", [NIGHT], "2027-07-04T23:00:00Z", true],
		["Asia/Kolkata", [NIGHT], "2027-01-03T19:29:00Z", false],
		["Asia/Kolkata", [NIGHT], "2027-01-03T19:30:00Z", true],
		["America/New_York", [NIGHT], "2027-01-04T05:00:00Z", false],
		["America/New_York", [NIGHT], "2027-01-04T06:00:00Z", true],
	],
	"clocks put forward: the hour that is not there": [
		// At 2:00 it is 3:00.
		[
			"Europe/Berlin",
			[{ days: "sun", hours: "2-3" }],
			"2027-03-28T00:59:00Z",
			false,
		],
		[
			"Europe/Berlin",
			[{ days: "sun", hours: "2-3" }],
			"2027-03-28T01:00:00Z",
			false,
		],
	],
	"clocks put back: the hour that is there twice": [
		[
			"Europe/Berlin",
			[{ days: "sun", hours: "2-3" }],
			"2027-10-31T00:30:00Z",
			true,
		],
		[
			"Europe/Berlin",
			[{ days: "sun", hours: "2-3" }],
			"2027-10-31T01:30:00Z",
			true,
		],
		[
			"Europe/Berlin",
			[{ days: "sun", hours: "2-3" }],
			"2027-10-31T02:00:00Z",
			false,
		],
	],
};

for (const [name, list] of Object.entries(moments))
	t.test(name, async (t) => {
		for (const [zone, given, now, open] of list) {
			const leave = leaveAt(week(zone, ...given), at(now), "active");
			t.equal(leave.closed, open ? undefined : "hours", `${zone}, ${now}`);
		}
	});

t.test("of two windows the later one holds", async (t) => {
	const two = week(
		"UTC",
		{ trunk: "8 Mbit/s" },
		{ hours: "19-23", trunk: "none", neighbours: "80 kbit/s", up: "8 kbit/s" },
		{ hours: "20-21", trunk: "none", neighbours: "none" },
	);
	const day = (hour: number) =>
		leaveAt(two, at("2027-01-04T00:00:00Z") + hour * HOUR, "active");
	t.match(day(18), { trunk: 1_000_000, neighbours: 0, up: 0 });
	t.match(day(19), { trunk: null, neighbours: 10_000, up: 1000 });
	t.notOk(day(19).closed, "neighbours may give");
	t.match(day(20), { trunk: null, neighbours: null, closed: "hours" });
	t.match(day(23), { trunk: 1_000_000 });
});

t.test("power", async (t) => {
	const night = at("2027-01-04T03:00:00Z");
	const some = week("UTC", NIGHT, { hours: "3-4", standby: true });
	t.match(leaveAt(undefined, undefined, "active"), { trunk: 0, neighbours: 0 });
	t.match(leaveAt(undefined, undefined, "standby"), { closed: "standby" });
	t.notOk(leaveAt(some, night, "standby").closed, "a window says so");
	t.equal(leaveAt(some, night + HOUR, "standby").closed, "standby");
	t.equal(leaveAt(some, night + 12 * HOUR, "standby").closed, "hours");
	t.equal(leaveAt(some, night, "off").closed, "standby");
	t.equal(leaveAt(some, undefined, "active").closed, "time-unknown");
});

t.test("until when", async (t) => {
	const night = week("Europe/Berlin", { hours: "1-6" });
	for (const [now, until] of [
		["2027-01-04T02:17:31.5Z", "2027-01-04T05:00:00Z"],
		["2027-01-04T12:00:00Z", "2027-01-05T00:00:00Z"],
		// The night of the change is an hour shorter, and one longer.
		["2027-03-27T12:00:00Z", "2027-03-28T00:00:00Z"],
		["2027-03-28T00:30:00Z", "2027-03-28T04:00:00Z"],
		["2027-10-31T00:30:00Z", "2027-10-31T05:00:00Z"],
	] as const) {
		const { until: found = 0 } = leaveAt(night, at(now), "active");
		t.equal(new Date(found).toISOString(), new Date(until).toISOString(), now);
	}
	const always = leaveAt(week("UTC", {}), at("2027-01-04T00:00:00Z"), "active");
	t.notOk("until" in always, "nothing changes");
});

t.test(
	"whatever the zone and the moment, what is said to change does",
	async (t) => {
		const zones = [
			"UTC",
			"Europe/Berlin",
			"Asia/Kolkata",
			"Australia/Lord_Howe",
		];
		for (const zone of zones) {
			const some = week(zone, { days: "mon,thu", hours: "1-6" });
			let now = at("2027-01-01T00:10:00Z");
			for (let change = 0; change < 250; change++) {
				const before = leaveAt(some, now, "active");
				const { until = 0 } = before;
				if (until <= now) return t.fail(`${zone}: ${until} after ${now}`);
				const last = leaveAt(some, until - MINUTE, "active");
				const next = leaveAt(some, until, "active");
				if (last.closed !== before.closed || next.closed === before.closed)
					return t.fail(`${zone}: ${new Date(until).toISOString()}`);
				now = until;
			}
		}
		t.pass();
	},
);
