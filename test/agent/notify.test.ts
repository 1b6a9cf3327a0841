import { spawn, spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { createNotifier } from "../../src/agent/notify.ts";
import type { LarderError } from "../../src/base/errors.ts";

const NAMES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "PATH"];
const missing = spawnSync("systemd-notify", ["--version"]).error !== undefined;
if (missing) {
	const why = "systemd-notify is not here; the package systemd provides it";
	if (process.env["CI"]) t.fail(why);
	else t.comment(why);
}
const real = { skip: missing };

// Node has no unix datagram sockets: python stands in for PID 1.
const RECEIVER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('""', flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** Fails once when there is a file `busy`, always when that is a folder. */
const BUSY = `#!/bin/sh
busy="$(dirname "$0")/busy"
if [ -e "$busy" ]; then
	rm -f "$busy" 2> /dev/null
	echo "it is busy" >&2
	exit 1
fi
exec /usr/bin/systemd-notify "$@"
`;

function setEnv(test: Test, env: Readonly<Record<string, string>>): void {
	const before = NAMES.map((name) => [name, process.env[name]] as const);
	for (const name of NAMES) if (name !== "PATH") delete process.env[name];
	Object.assign(process.env, env);
	test.teardown(() => {
		for (const [name, value] of before) {
			if (value === undefined) delete process.env[name];
			else process.env[name] = value;
		}
	});
}

/** What PID 1 would hear. `until` gives all messages up to the first that holds `text`. */
async function systemd(test: Test, env: Readonly<Record<string, string>> = {}) {
	const folder = await mkdtemp(join(tmpdir(), "larder-notify-"));
	const socket = join(folder, "notify");
	const receiver = spawn("python3", ["-c", RECEIVER, socket], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	test.teardown(async () => {
		receiver.kill();
		await rm(folder, { recursive: true });
	});
	const lines = createInterface({ input: receiver.stdout })[
		Symbol.asyncIterator
	]();
	const next = async () =>
		JSON.parse((await lines.next()).value ?? "") as string;
	await next();
	setEnv(test, { NOTIFY_SOCKET: socket, ...env });
	return {
		until: async (text: string): Promise<string[]> => {
			const heard: string[] = [];
			for (;;) {
				heard.push(await next());
				if (heard.at(-1)?.includes(text)) return heard;
			}
		},
	};
}

function notifier(test: Test) {
	const failures: LarderError[] = [];
	const troubles: LarderError[] = [];
	const failed = Promise.withResolvers<LarderError>();
	const made = createNotifier(
		(error) => troubles.push(error),
		(error) => {
			failures.push(error);
			failed.resolve(error);
		},
	);
	// A status that waits keeps no process alive.
	const awake = setInterval(() => undefined, 1000);
	test.teardown(() => {
		clearInterval(awake);
		made.close();
	});
	return { made, troubles, failures, failed: failed.promise };
}

t.test("silent outside systemd", async (t) => {
	setEnv(t, { PATH: "/nowhere", WATCHDOG_USEC: "1000" });
	const { made, failures } = notifier(t);
	await made.ready();
	made.status("all is well");
	await made.stopping();
	t.same(failures, []);
});

t.test("READY, STATUS and STOPPING arrive", real, async (t) => {
	const { until } = await systemd(t);
	const { made, failures } = notifier(t);
	await made.ready();
	const heard = await until("READY=1");
	t.match(heard.at(-1), `MAINPID=${process.pid}`);
	made.status("3 neighbours\nWATCHDOG=trigger");
	t.match((await until("STATUS=")).at(-1), "neighbours WATCHDOG=trigger");
	await made.stopping();
	t.match((await until("STOPPING=1")).at(-1), /^STOPPING=1/);
	t.same(failures, []);
});

t.test(
	"of many statuses the first and the newest are sent",
	real,
	async (t) => {
		const { until } = await systemd(t);
		const { made } = notifier(t);
		for (let i = 1; i <= 50; i++) made.status(`number ${i}.`);
		const statuses = (await until("number 50."))
			.filter((message) => message.includes("STATUS="))
			.map((message) => /number \d+/.exec(message)?.[0]);
		t.same(statuses, ["number 1", "number 50"]);
	},
);

t.test("a line that says the same is not sent again", real, async (t) => {
	// The second ping comes when a status that was held back would long have gone.
	const { until } = await systemd(t, { WATCHDOG_USEC: "3000000" });
	const { made } = notifier(t);
	await made.ready();
	await until("WATCHDOG=1");
	for (const line of ["all well", "changed", "all well"]) made.status(line);
	const heard = await until("WATCHDOG=1");
	const statuses = heard.filter((message) => message.includes("STATUS="));
	t.equal(statuses.length, 1, heard.join());
	made.status("changed");
	t.match((await until("STATUS=")).at(-1), "changed");
});

t.test("watchdog pings go on until close", real, async (t) => {
	const { until } = await systemd(t, {
		WATCHDOG_USEC: "100000",
		WATCHDOG_PID: String(process.pid),
	});
	const { made, failures } = notifier(t);
	await made.ready();
	for (let i = 0; i < 3; i++)
		t.match((await until("WATCHDOG=1")).at(-1), /^WATCHDOG=1/);
	made.close();
	t.same(failures, []);
});

t.test("not heard once is no failure, twice in a row is", real, async (t) => {
	const folder = t.testdir({
		"systemd-notify": t.fixture("file", BUSY),
	});
	await chmod(join(folder, "systemd-notify"), 0o755);
	const { until } = await systemd(t, {
		WATCHDOG_USEC: "200000",
		PATH: `${folder}:${process.env["PATH"]}`,
	});
	const { made, troubles, failures, failed } = notifier(t);
	await made.ready();
	await until("WATCHDOG=1");
	for (let times = 1; times <= 3; times++) {
		await writeFile(join(folder, "busy"), "");
		while (troubles.length < times) await until("WATCHDOG=1");
	}
	t.match(troubles[0], { cause: { message: "it is busy" } });
	t.same(failures, []);
	await mkdir(join(folder, "busy"));
	t.equal((await failed).code, "NOTIFY_FAILED");
});

t.test("no pings for another process", real, async (t) => {
	const { until } = await systemd(t, {
		WATCHDOG_USEC: "1000",
		WATCHDOG_PID: String(process.pid + 1),
	});
	const { made } = notifier(t);
	await made.ready();
	await made.stopping();
	const heard = await until("STOPPING=1");
	t.notOk(heard.some((message) => message.includes("WATCHDOG")));
});

t.test("loud when systemd cannot be told", real, async (t) => {
	setEnv(t, { NOTIFY_SOCKET: join(t.testdir(), "nobody") });
	const { made, failed } = notifier(t);
	await t.rejects(made.ready(), { code: "NOTIFY_FAILED" });
	await t.rejects(made.stopping(), {
		code: "NOTIFY_FAILED",
		cause: { message: /Failed to notify/ },
	});
	made.status("hello");
	made.status("again");
	t.equal((await failed).code, "NOTIFY_FAILED");
});

t.test("loud when systemd-notify is missing", async (t) => {
	setEnv(t, { NOTIFY_SOCKET: "/nowhere", PATH: t.testdir() });
	const { made, failed } = notifier(t);
	await t.rejects(made.ready(), {
		code: "NOTIFY_FAILED",
		cause: { code: "ENOENT" },
	});
	await t.rejects(made.stopping(), { code: "NOTIFY_FAILED" });
	made.status("hello");
	made.status("again");
	t.match(await failed, { code: "NOTIFY_FAILED" });
});
