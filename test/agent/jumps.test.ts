// What goes by time on a box whose clocks jump, or that is suspended: nothing waits for a time that does not come, or makes up for one.
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { BoxClock } from "../../src/agent/clock.ts";
import { Hours } from "../../src/agent/hours.ts";
import { Traffic } from "../../src/agent/traffic.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR, SECOND } from "../../src/base/time.ts";
import { KiB } from "../../src/base/units.ts";
import { readWindows } from "../../src/plan/windows.ts";
import { envelope, seal, trustIn } from "../../src/wire/envelope.ts";
import { parseMessage } from "../../src/wire/json.ts";
import { newBox, Operator } from "../control/operator.ts";

/** A Monday. */
const NOON = Date.UTC(2027, 0, 4, 12);
const YEAR = 365 * DAY;

/** The kernel's clocks, of which a process has all but the last by asking: that one is the time on the wall. */
function clocks(t: Test) {
	const at = { awake: 1e6, wall: Date.now() };
	t.intercept(performance, "now", { value: () => at.awake });
	t.intercept(Date, "now", { value: () => at.wall });
	return at;
}

/** Hours of a box that is told the time by its issuer. */
function clockwork(t: Test) {
	const ticks = { now: 1e6 };
	const clock = new BoxClock(NOON - YEAR, () => ticks.now);
	const operator = new Operator();
	const box = newBox();
	const learn = (at: number) => {
		const { network } = trustIn(operator.root.publicKey, clock.now);
		const nonce = randomBytes(16).toString("hex");
		const said = { network, box, nonce, at };
		const bytes = seal(operator.signer("issuer", NOON + 9 * YEAR, 1), said);
		const read = parseMessage(envelope, bytes);
		if (!read.ok) throw new Error(read.detail);
		clock.learn({ said, envelope: read.value, tookUpTo: 0 });
	};
	const windows = readWindows([{ hours: "1-6" }]);
	if (!windows.ok) throw new Error(windows.detail);
	const hours = new Hours({
		own: { takeover: 0, writeBudget: 0, zone: "UTC", windows: windows.value },
		...{ policy: () => undefined, power: () => "active", log: silent },
		now: () => (clock.isKnown ? clock.now() : undefined),
		onChange: () => undefined,
	});
	t.teardown(() => hours.close());
	return { ticks, learn, hours };
}

t.test("a box that sleeps into its hours fills at once", async (t) => {
	const system = clocks(t);
	const { ticks, learn, hours } = clockwork(t);
	hours.look();
	t.equal(hours.leave.closed, "time-unknown");
	learn(NOON);
	hours.look();
	t.equal(hours.leave.closed, "hours");
	// Suspended for 14 hours, in which no timer ran; the clock on the wall was never right.
	ticks.now += 14 * HOUR;
	system.wall = 0;
	hours.look();
	t.notOk(hours.leave.closed, "it is two in the morning");
	ticks.now += 4 * HOUR;
	hours.look();
	t.equal(hours.leave.closed, "hours");
});

t.test("the system's clock opens and closes no hours", async (t) => {
	const system = clocks(t);
	const { ticks, learn, hours } = clockwork(t);
	learn(NOON + 14 * HOUR);
	hours.look();
	t.notOk(hours.leave.closed);
	const { leave } = hours;
	for (const wall of [NOON + YEAR, NOON - YEAR, 0]) {
		system.wall = wall;
		hours.look();
		t.equal(hours.leave.until, leave.until);
	}
	ticks.now += 4 * HOUR;
	hours.look();
	t.equal(hours.leave.closed, "hours", "they end when they should");
});

t.test("hours follow the operator's clock a year off, and back", async (t) => {
	const { ticks, learn, hours } = clockwork(t);
	for (const at of [NOON, NOON + YEAR + 14 * HOUR, NOON - YEAR / 2, NOON]) {
		learn(at);
		hours.look();
		const isNight = at === NOON + YEAR + 14 * HOUR;
		t.equal(hours.leave.closed, isNight ? undefined : "hours");
	}
	ticks.now += 14 * HOUR;
	hours.look();
	t.notOk(hours.leave.closed);
});

t.test("rates know no clock but the one that stands still", async (t) => {
	const system = clocks(t);
	const second = 10 * KiB;
	const traffic = new Traffic({ up: 0, down: second, origin: 0 });
	const { signal } = new AbortController();
	let passed = 0;
	const all: Promise<unknown>[] = [];
	const ask = (chunks: number) => {
		for (let i = 0; i < chunks; i++) {
			const may = traffic.take("origin", KiB, "viewer", signal);
			all.push(Promise.resolve(may).then(() => passed++));
		}
	};
	/** Has it look, by a limit that is as it was; who may pass has passed then. */
	const look = async () => {
		traffic.change({ up: 0, down: second, origin: 0 });
		await new Promise(setImmediate);
		return passed;
	};
	ask(100);
	const before = await look();
	t.ok(before <= 2, `${before} at the beginning`);
	for (const wall of [NOON + YEAR, NOON - YEAR, 0]) {
		system.wall = wall;
		t.equal(await look(), before, "a year is no second");
	}
	system.awake += 0.5 * SECOND;
	const half = await look();
	t.ok(
		half > before && half <= before + 6,
		`${half - before} in half a second`,
	);
	// Stopped for a day by whoever debugs it, or by a kernel that counts its sleep.
	system.awake += DAY;
	const day = await look();
	t.ok(day > half && day <= half + 3, `${day - half} after a day`);
	system.awake += 0.5 * SECOND;
	t.ok((await look()) <= day + 6, "and goes on as before");
	traffic.change({ up: 0, down: 0, origin: 0 });
	await Promise.all(all);
});
