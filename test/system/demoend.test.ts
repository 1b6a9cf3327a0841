import { once } from "node:events";
import { mkdir, readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Demo, isAlive } from "./demo.ts";
import { poll, temporary } from "./desk.ts";

t.setTimeout(240_000);

const SMALL = ["--boxes", "2", "--copies", "2"];

async function leavesNothing(t: Test, demo: Demo, pids: readonly number[]) {
	for (const pid of pids) t.notOk(await isAlive(pid), `process ${pid} is gone`);
	t.same(await readdir(demo.temp), [], "no file is left");
}

for (const [stage, line, signal, code] of [
	["services start", /starting broker/, "SIGINT", 130],
	["boxes start", /services are up/, "SIGTERM", 143],
	["boxes fill", /filling: [1-9]/, "SIGHUP", 129],
] as const) {
	t.test(`ended by ${signal} while ${stage}`, async (t) => {
		const demo = await Demo.start(t, [...SMALL, "--exit"]);
		await demo.says(line);
		const pids = await demo.children();
		demo.kill(signal);
		// Somebody is impatient.
		demo.kill(signal);
		t.equal(await demo.exit, code);
		t.equal(demo.stdout, "");
		t.notMatch(demo.stderr, /larder:|Error/, "an end is no error");
		await leavesNothing(t, demo, pids);
	});
}

t.test("the addresses it names answer until it is ended", async (t) => {
	const demo = await Demo.start(t, SMALL);
	await demo.says(/Ctrl-C ends everything/);
	const [operator = "", player = ""] =
		demo.stdout.match(/http:\S+(?=\n)/g) ?? [];
	const welcome = await fetch(operator, { redirect: "manual" });
	const cookie = welcome.headers.getSetCookie().join();
	const own = await fetch(new URL("/", operator), { headers: { cookie } });
	t.match(await own.text(), /<title>Larder/, "the operator's page");
	const page = await fetch(player);
	t.match(await page.text(), /<title>Larder/, "the player page");
	const titles = await (await fetch(new URL("/titles", player))).json();
	t.match(titles, [{ name: "clip", playable: true }]);
	const pids = await demo.children();
	t.ok(pids.length > 7, "broker, two nodes, origin, headend, three boxes");
	demo.kill("SIGINT");
	t.equal(await demo.exit, 0, "it did all that it was asked to");
	await leavesNothing(t, demo, pids);
});

t.test("killed outright, it leaves no process", async (t) => {
	const demo = await Demo.start(t, [...SMALL, "--exit"]);
	await demo.says(/filling: [1-9]/);
	const pids = await demo.children();
	t.ok(pids.length >= 7);
	demo.kill("SIGKILL");
	t.equal(await demo.exit, "SIGKILL");
	await poll("every process to end by itself", async () => {
		const alive = await Promise.all(pids.map(isAlive));
		return !alive.includes(true);
	});
});

t.test("a process that dies is named, and its log can be kept", async (t) => {
	const kept = join(await temporary(t), "kept");
	const demo = await Demo.start(t, [...SMALL, "--keep", kept, "--exit"]);
	await demo.says(/services are up/);
	const pids = await demo.children();
	const [first = 0] = pids;
	process.kill(first, "SIGKILL");
	t.equal(await demo.exit, 1);
	t.match(demo.stderr, /larder: (broker|dht-1|origin) ended with SIGKILL/);
	t.match(JSON.parse(demo.stdout), { ok: false, error: /SIGKILL/ });
	await leavesNothing(t, demo, pids);
	t.match(demo.stderr, `everything is in ${kept}`);
	t.ok((await readdir(join(kept, "logs"))).includes("headend.log"));
});

t.test("what cannot work is said at once", async (t) => {
	const dir = await temporary(t);
	const used = await temporary(t);
	await mkdir(join(used, "operator", "keys"), { recursive: true });
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => server.close());
	const address = server.address();
	const mute = typeof address === "object" ? address?.port : 0;
	const cases: [string[], RegExp][] = [
		[["--source", join(dir, "none")], /there is no .*none\. Name a folder/],
		[["--source", dir], /there is nothing in it\. Put a package there/],
		[["--broker", "mqtt://127.0.0.1:1"], /ECONNREFUSED.*BROKER_FAILED/],
		[["--broker", `mqtt://127.0.0.1:${mute}`], /does not answer.*BROKER_/],
		[["--broker", "localhost:1883"], /must be an mqtt/],
		[["--keep", used], /operator is not empty.*OPERATOR_EXISTS/],
		[["--boxes", "0"], /whole number from 1/],
		[["--copies", "many"], /whole number from 1/],
		[["--bozes", "3"], /Did you mean --boxes/],
	];
	const refused = async ([args, said]: [string[], RegExp]) => {
		const demo = await Demo.start(t, [...args, "--exit"]);
		t.equal(await demo.exit, 1, args.join(" "));
		t.match(demo.stderr, said);
		t.same(await readdir(demo.temp), []);
	};
	await Promise.all(cases.map(refused));
});
