import { spawnSync } from "node:child_process";
import t, { type Test } from "tap";
import { Power } from "../../src/agent/power.ts";
import type { Words } from "../../src/agent/told.ts";
import { SECOND } from "../../src/base/time.ts";
import type { State } from "../../src/wire/reports.ts";
import { Happenings, heard } from "../control/operator.ts";

function scene(t: Test, power: State["power"] = "active") {
	const done: string[] = [];
	const kept: Words[] = [];
	const machine = { asleep: 5 };
	const lines = new Happenings<string>();
	const box = new Power({
		told: { power, keep: (words) => void kept.push(words) },
		swarm: {
			leave: () => done.push("leave"),
			stay: () => done.push("stay"),
			redial: () => done.push("redial"),
		},
		control: {
			change: (facts) => done.push(`say ${facts.power}`),
			reconnect: () => done.push("reconnect"),
		},
		log: heard(lines),
		asleep: () => machine.asleep,
	});
	t.teardown(() => box.close());
	return { power: box, kept, done, machine, lines: lines.all };
}

t.test("what is given is handed over before the box says so", async (t) => {
	const { power, done } = scene(t);
	t.equal(power.state, "active");
	power.change("active");
	t.same(done, [], "nothing new");
	power.change("standby");
	t.same(done.splice(0), ["leave", "say standby"]);
	power.change("off");
	t.equal(power.state, "off");
	power.change("active");
	t.same(done, ["leave", "say off", "stay", "say active"]);
});

t.test("started again, it is what it was", async (t) => {
	const { power, done, kept } = scene(t, "standby");
	t.equal(power.state, "standby");
	t.same(done.splice(0), ["leave"], "nothing is given meanwhile");
	power.change("active");
	t.same(done, ["stay", "say active"]);
	t.same(kept, [{ power: "active" }]);
});

t.test("after a long sleep connections are made anew", async (t) => {
	const { power, done, machine } = scene(t);
	machine.asleep += 5 * SECOND;
	power.look();
	t.same(done, [], "a nap");
	machine.asleep += 60 * SECOND;
	power.look();
	power.look();
	t.same(done.splice(0), ["redial", "reconnect"], "once");
	power.change("standby");
	done.splice(0);
	machine.asleep += 60 * SECOND;
	power.change("active");
	t.same(done, ["redial", "reconnect", "stay", "say active"]);
});

t.test("who says so again and again does not fill the log", async (t) => {
	const { power, done, lines } = scene(t);
	for (let i = 0; i < 1000; i++) {
		power.change("standby");
		power.change("active");
	}
	t.equal(done.length, 4000, "it is obeyed");
	t.ok(lines.length > 1 && lines.length <= 20, `${lines.length} lines`);
});

const skip =
	process.getuid?.() !== 0 && "a machine that slept is made by root only";

t.test("a sleep shows in one of the machine's clocks", { skip }, async (t) => {
	// As after a sleep of eight hours, which the kernel adds to the one clock and not to the other.
	const slept = ["unshare", "--time", "--boottime", "28800", "--fork"];
	const clocks = (...within: string[]): [number, number] => {
		const program = `console.log(os.uptime(), Number(process.hrtime.bigint()) / 1e9)`;
		const [command = "", ...args] = [
			...within,
			process.execPath,
			"-e",
			program,
		];
		const said = spawnSync(command, args, { encoding: "utf8" });
		const [up = 0, awake = 0] = said.stdout.split(" ").map(Number);
		return [up, awake];
	};
	const [up, awake] = clocks();
	const [upThen, awakeThen] = clocks(...slept);
	t.ok(upThen - up >= 28_800, `${upThen - up} s of it`);
	t.ok(awakeThen - awake < 28_800, "this one stood still");
});
