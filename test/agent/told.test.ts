import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Told } from "../../src/agent/told.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR, MINUTE } from "../../src/base/time.ts";

// Nothing that waits in an agent keeps a process alive.
const alive = setInterval(() => undefined, MINUTE);
t.teardown(() => clearInterval(alive));

function scene(t: Test) {
	const time = { now: HOUR };
	const path = join(t.testdir(), "told.json");
	const warned: string[] = [];
	const warn = (_: object, line?: string) => void warned.push(line ?? "");
	const open = (boot: string) =>
		Told.open({
			...{ path, boot, now: () => time.now },
			log: { ...silent, warn },
		});
	return { time, path, warned, open };
}

t.test("what was told outlasts the agent, not the boot", async (t) => {
	const { time, open } = scene(t);
	const first = await open("a");
	t.same(first.activity.said, "idle");
	t.equal(first.power, "active");
	first.keep({ activity: "live" });
	first.keep({ activity: "recording" });
	first.keep({ power: "standby" });
	await first.close();
	time.now += MINUTE;
	const second = await open("a");
	t.same(second.activity, { said: "recording", ago: MINUTE });
	t.equal(second.power, "standby");
	second.keep({ activity: "idle" });
	await second.close();
	const third = await open("a");
	t.same(third.activity.said, "idle");
	t.equal(third.power, "standby");
	time.now += DAY;
	t.equal(third.power, "active", "nobody has said so for a day");
	await third.close();
	const later = await open("b");
	t.equal(later.activity.said, "idle");
	t.equal(later.power, "active");
	await later.close();
});

t.test("who says so all the time has little written", async (t) => {
	const { path, open } = scene(t);
	const told = await open("a");
	told.keep({ activity: "live" });
	await new Promise(setImmediate);
	for (let i = 0; i < 1000; i++) told.keep({ activity: "recording" });
	const { ino } = await until(() => stat(path));
	for (let i = 0; i < 1000; i++) told.keep({ activity: "idle" });
	await new Promise(setImmediate);
	t.equal((await stat(path)).ino, ino, "not again at once");
	await told.close();
	t.not((await stat(path)).ino, ino, "and in the end what was said last");
	t.equal((await open("a")).activity.said, "idle");
});

/** As soon as it is there. */
async function until<T>(look: () => Promise<T>): Promise<T> {
	for (;;) {
		const found = await look().catch(() => undefined);
		if (found !== undefined) return found;
	}
}

t.test("where it cannot be kept it holds all the same", async (t) => {
	const { path, open, warned } = scene(t);
	await mkdir(`${path}.part`);
	const told = await open("a");
	told.keep({ activity: "live" });
	await told.close();
	t.equal(told.activity.said, "live");
	t.match(warned, [/cannot be written/]);
	await rm(`${path}.part`, { recursive: true });
});
