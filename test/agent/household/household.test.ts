import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Household } from "../../../src/agent/household/household.ts";
import { pressure } from "../../../src/agent/household/pressure.ts";
import { Will } from "../../../src/agent/household/will.ts";
import type { Words } from "../../../src/agent/told.ts";
import { silent } from "../../../src/base/log.ts";
import { HOUR, MINUTE, SECOND } from "../../../src/base/time.ts";
import { KiB, type Limit, MiB } from "../../../src/base/units.ts";
import type { Activity } from "../../../src/wire/ipc.ts";

// Nothing that waits in an agent keeps a process alive.
const alive = setInterval(() => undefined, MINUTE);
t.teardown(() => clearInterval(alive));

/** Less than what is tried first of an uplink that nothing is known of. */
const UP: number = 128 * KiB;

async function scene(
	t: Test,
	{
		limits = { up: UP, upActive: "none" as Limit, pressure: 80 },
		path = join(t.testdir(), "household.json"),
		told = { said: "idle" as Activity, ago: 0 },
	} = {},
) {
	const time = { now: 1000, ran: 5000 };
	const done: unknown[] = [];
	const kept: Words[] = [];
	const machine = {
		placed: 1,
		pressure: 0,
		delay: undefined as number | undefined,
	};
	const lines: unknown[] = [];
	const counters = { toNeighbours: 0, playedFromOrigin: 0 };
	let wanted = () => {};
	const household = new Household({
		swarm: {
			give: (limit) => done.push(limit),
			onWanted: (listener) => {
				wanted = listener;
			},
		},
		probes: {
			ask: () => done.push("probe"),
			get delay() {
				return machine.delay;
			},
		},
		told: { activity: told, keep: (words) => void kept.push(words) },
		will: await Will.open({ path, ran: () => time.ran, log: silent }),
		counters,
		placed: () => machine.placed,
		limits,
		pressure: () => machine.pressure,
		onFill: (waits) => done.push(waits ? "fill waits" : "fill goes on"),
		onPart: (part) => done.push(part),
		log: {
			...silent,
			info: (_: object, line?: string) => void lines.push(line),
		},
		now: () => time.now,
	});
	t.teardown(() => household.close());
	return {
		...{ household, time, done, machine, counters, path, limits, wanted },
		...{ lines, kept },
	};
}

t.test("told before the agent was started again", async (t) => {
	const told = { said: "recording" as const, ago: 3 * HOUR };
	const { household, done, time, limits, kept } = await scene(t, { told });
	t.same(done, ["none", "fill waits"], "from the first moment on");
	t.match(household.status, { activity: "recording", why: "recording" });
	time.now += HOUR;
	household.change(limits);
	t.equal(household.status.why, undefined, "four hours in all");
	household.tell("live");
	t.same(kept, [{ activity: "live" }]);
});

t.test("live TV ends all giving before it is answered", async (t) => {
	const { household, done, time, limits } = await scene(t);
	t.same(done.splice(0), [], "what the swarm was opened with");
	household.tell("live");
	t.same(done.splice(0), ["none", "fill waits"]);
	t.match(household.status, { activity: "live", give: "none", why: "live" });
	household.tell("live");
	household.tell("recording");
	t.same(done.splice(0), [], "it was so already");
	household.tell("idle");
	t.same(done.splice(0), [], "not at once");
	time.now += 10 * SECOND;
	household.change(limits);
	t.same(done.splice(0), [64 * KiB, "fill goes on"]);
	time.now += MINUTE;
	household.change(limits);
	t.same(done.splice(0), [UP]);
	household.underrun();
	t.same(done.splice(0), ["none", "fill waits"]);
	household.change({ ...limits, up: 0 });
	t.same(done.splice(0), [], "whatever is configured");
});

t.test(
	"a node is asked when a neighbour wants something, and not before",
	async (t) => {
		const { household, done, wanted, time, limits } = await scene(t);
		household.change(limits);
		t.same(done.splice(0), []);
		wanted();
		t.same(done.splice(0), ["probe"], "before anything is given");
		wanted();
		t.same(done.splice(0), [], "the next ones come by themselves");
		time.now += 6 * SECOND;
		household.change(limits);
		t.same(done.splice(0), [], "nobody wants anything any more");
		household.tell("live");
		done.splice(0);
		wanted();
		t.same(done, [], "nor is it asked while nothing is given");
	},
);

t.test("an uplink that fills is left to the household", async (t) => {
	const { household, done, wanted, time, limits, machine, counters } =
		await scene(t);
	machine.delay = 500;
	for (let i = 0; i < 40 && household.status.give !== "none"; i++) {
		wanted();
		time.now += 250;
		counters.toNeighbours += 10_000;
		household.change(limits);
	}
	t.match(household.status, { give: "none", why: "uplink", waits: "uplink" });
	t.ok(time.now < 10 * SECOND);
	done.splice(0);
	household.change(limits);
	t.same(done.splice(0), ["probe"], "it is looked whether it still is");
	machine.delay = 0;
	for (let i = 0; i < 8; i++) {
		time.now += SECOND;
		household.change(limits);
	}
	t.match(household.status, { give: 32 * KiB });
});

t.test("filling waits for a machine that is short of something", async (t) => {
	const { household, done, time, machine, limits } = await scene(t);
	machine.pressure = 85;
	time.now += 5 * SECOND;
	household.change(limits);
	t.same(done.splice(0), ["fill waits"]);
	household.change({ ...limits, pressure: 0 });
	t.same(done.splice(0), ["fill goes on"]);
});

t.test("what was said lasts over a restart", async (t) => {
	const first = await scene(t);
	await first.household.pause(30 * MINUTE);
	await first.household.limit({ up: 64 * KiB });
	await first.household.limit({ upActive: 2 * MiB });
	await first.household.takePart("draining");
	t.same(first.done, ["none", "fill waits", "draining"]);
	first.household.close();
	const { path } = first;
	const again = await scene(t, { path });
	t.match(again.household.status, {
		...{ part: "draining", give: "none", why: "paused" },
		paused: 30 * MINUTE,
		limits: { up: 64 * KiB, upActive: "none" },
	});
	await again.household.pause(0);
	t.notOk(again.household.status.paused);
	await again.household.takePart("out");
	await again.household.pause(Number.POSITIVE_INFINITY);
	again.household.close();
	const { household } = await scene(t, { path });
	t.match(household.status, { part: "out", why: "opted-out", paused: null });
});

t.test("a household takes no more than the operator lets it", async (t) => {
	const { household } = await scene(t);
	await household.limit({ up: 0, upActive: MiB });
	t.same(household.status.limits, { up: UP, upActive: "none" });
	await household.limit({ up: "none" });
	t.match(household.status, { give: "none" });
});

t.test("pressure as the kernel tells it", async (t) => {
	const files: Record<string, string> = {
		cpu: "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\n",
		io: "some avg10=70.33 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00",
	};
	t.equal(
		pressure((kind) => {
			if (files[kind] === undefined) throw new Error("ENOENT");
			return files[kind];
		}),
		70.33,
	);
	const here = pressure();
	t.ok(here >= 0 && here <= 100);
});

t.test("it takes no part once nothing is placed on it any more", async (t) => {
	const { household, done, machine } = await scene(t);
	await household.takePart("draining");
	t.same(done.splice(0), ["fill waits", "draining"], "it goes on giving");
	household.replaced();
	t.same(done.splice(0), []);
	machine.placed = 0;
	household.replaced();
	t.same(done.splice(0), ["none", "out"]);
	await household.takePart("in");
	t.same(done.splice(0), ["in"]);
	await household.takePart("draining");
	t.same(done.splice(0), ["out"], "there is nothing to hand on");
	household.replaced();
	t.same(done.splice(0), []);
});

t.test(
	"who says so again and again fills no log and wears no disk",
	async (t) => {
		const limits = { up: UP, upActive: UP as Limit, pressure: 0 };
		const { household, done, lines, path } = await scene(t, { limits });
		const kept: Promise<void>[] = [];
		for (let i = 0; i < 500; i++) {
			kept.push(household.pause(MINUTE), household.pause(0));
		}
		t.ok(done.length > 1000, "it is obeyed");
		t.ok(lines.length > 1 && lines.length <= 20, `${lines.length} lines`);
		await kept[0];
		const { ino } = await stat(path);
		await household.limit({ up: 1 });
		t.not((await stat(path)).ino, ino, "the next write has all of it");
		t.match(JSON.parse(await readFile(path, "utf8")), { up: 1 });
		await Promise.all(kept);
		t.equal(new Set(kept).size, 1000);
	},
);
