import { once } from "node:events";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { checkClock, checkExpiry, checkTime } from "../../src/agent/checks.ts";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { render } from "../../src/cli/doctor.ts";
import { startIpc } from "../../src/ipc/server.ts";
import { grantKey, seal, timeOf } from "../../src/wire/envelope.ts";
import { networkOf } from "../../src/wire/ids.ts";
import type { Check } from "../../src/wire/ipc.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { makeBootstrap } from "../fixture.ts";
import { silentAgent } from "../ipc/silent.ts";
import { run, shortFolder } from "./run.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function identity(notAfter: number) {
	const root = generateKeyPair();
	const issuer = generateKeyPair();
	const box = generateKeyPair();
	const network = networkOf(root.publicKey);
	const dates = { notBefore: Date.now() - DAY, notAfter };
	const grant = grantKey(root, {
		purpose: "issuer",
		key: hex(issuer.publicKey),
		serial: 1,
		...dates,
	});
	const certificate = seal(
		{ purpose: "issuer", pair: issuer, grant },
		{
			network,
			region: "north-1",
			box: hex(box.publicKey),
			role: "box",
			serial: "0001",
			...dates,
		},
	);
	return {
		v: 1,
		seed: hex(box.seed),
		network,
		region: "north-1",
		rootKey: hex(root.publicKey),
		networkSecret: "ab".repeat(32),
		certificate: JSON.parse(certificate.toString()),
	};
}

/** A box folder with a broker and an origin that answer. */
async function box(test: Test) {
	const folder = await shortFolder(test);
	const broker = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
	const origin = createHttp((_, answer) => answer.end()).listen(0, "127.0.0.1");
	await Promise.all([once(broker, "listening"), once(origin, "listening")]);
	const stop = () => {
		broker.close();
		origin.close();
	};
	test.teardown(stop);
	const port = (server: { address(): unknown }) =>
		(server.address() as AddressInfo).port;
	const { node, address } = await makeBootstrap();
	test.teardown(() => node.destroy());
	const config = join(folder, "larder.toml");
	const socket = join(folder, "s");
	await mkdir(join(folder, "data"));
	await writeFile(
		join(folder, "identity.json"),
		JSON.stringify(identity(Date.now() + 365 * DAY)),
		{ mode: 0o600 },
	);
	await writeFile(
		config,
		`data = "data"
[swarm]
bootstrap = ["${address}"]
[broker]
url = "mqtt://127.0.0.1:${port(broker)}"
[origin]
url = "http://127.0.0.1:${port(origin)}/"
[store]
quota = "1 MiB"
[ipc]
socket = "${socket}"
`,
	);
	return { folder, config, socket, stop };
}

async function doctor(config: string) {
	const { code, stdout, stderr } = await run("doctor", { config, json: true });
	if (stdout === "") throw new Error(stderr);
	const { checks } = JSON.parse(stdout) as { checks: Check[] };
	const level = Object.fromEntries(
		checks.map(({ name, level }) => [name, level]),
	);
	return { code, checks, level };
}

t.test("a sound box whose agent does not run", async (t) => {
	const { config, folder } = await box(t);
	const { code, level, checks } = await doctor(config);
	t.same(
		level,
		{
			configuration: "ok",
			agent: "warn",
			identity: "ok",
			membership: "ok",
			disk: "ok",
			space: "ok",
			bootstrap: "ok",
			broker: "ok",
			origin: "ok",
			clock: "ok",
		},
		JSON.stringify(checks, undefined, 1),
	);
	t.equal(code, 0);
	t.same(await readdir(join(folder, "data")), [], "leaves nothing behind");
	const text = await run("doctor", { config, json: false });
	t.equal(text.code, 0);
	t.match(text.stdout, /^ok {4}configuration {2}/m);
});

t.test("everything broken at once", async (t) => {
	const { config, folder, stop } = await box(t);
	stop();
	await chmod(join(folder, "identity.json"), 0o644);
	await mkdir(`${config}.d`);
	await writeFile(
		join(`${config}.d`, "a.toml"),
		`data = "larder.toml"\n[swarm]\nbootstrap = ["nowhere.invalid:1"]\n[store]\nquota = "900 TiB"`,
	);
	const { code, level, checks } = await doctor(config);
	t.equal(code, 1);
	t.same(level, {
		configuration: "ok",
		agent: "warn",
		identity: "fail",
		disk: "fail",
		space: "warn",
		bootstrap: "fail",
		broker: "fail",
		origin: "fail",
		clock: "ok",
	});
	for (const check of checks)
		if (check.level !== "ok") t.ok(check.remedy, check.name);
	t.match(
		checks.find(({ name }) => name === "identity"),
		{ finding: "chmod 600" },
	);
});

t.test("a faulty configuration is the one finding", async (t) => {
	const { config } = await box(t);
	await writeFile(config, "data = 1\nlog_level = 2");
	const { code, checks } = await doctor(config);
	t.equal(code, 1);
	t.equal(checks.length, 1);
	t.match(checks[0], { name: "configuration", level: "fail" });
	t.match(checks[0]!.finding, "larder.toml:data:");
});

t.test("a broker password that cannot be read", async (t) => {
	const { config } = await box(t);
	await mkdir(`${config}.d`);
	await writeFile(
		join(`${config}.d`, "a.toml"),
		'[broker]\npassword_file = "none"',
	);
	const { code, level } = await doctor(config);
	t.equal(level["broker"], "fail");
	t.equal(code, 1);
});

t.test("asks the agent when it runs", async (t) => {
	const { config, socket } = await box(t);
	const checks: Check[] = [
		{ name: "neighbours", level: "fail", finding: "none", remedy: "wait" },
	];
	const server = await startIpc({
		socket,
		handlers: { ...silentAgent, doctor: async () => ({ checks }) },
		log: silent,
	});
	t.teardown(() => server.close());
	const { code, checks: found } = await doctor(config);
	t.equal(code, 1);
	t.match(found[0], { name: "configuration", level: "ok" });
	t.same(found.slice(1), checks);
});

t.test(
	"falls back on its own eyes when the agent talks nonsense",
	async (t) => {
		const { config, socket } = await box(t);
		const server = await startIpc({
			socket,
			handlers: { ...silentAgent, doctor: async () => "fine" },
			log: silent,
		});
		t.teardown(() => server.close());
		const { level } = await doctor(config);
		t.match(level, { agent: "warn", identity: "ok" });
	},
);

t.test("clock and expiry", async (t) => {
	const now = Date.UTC(2026, 5, 1);
	t.equal(checkClock(now, now + 1000).level, "ok");
	t.match(checkClock(now, now + DAY), {
		level: "warn",
		finding: /86400 s from/,
		remedy: /judged by what the headend says/,
	});
	t.equal(checkClock(undefined, now).level, "ok");
	const known = timeOf(() => now);
	t.equal(checkTime(now, known).level, "ok");
	t.equal(checkTime(undefined, known).level, "ok");
	t.match(checkTime(now - DAY, known), {
		level: "warn",
		remedy: /the headend's clock/,
	});
	const latest = () => Number.POSITIVE_INFINITY;
	t.match(checkTime(now, { ...known, latest }), {
		level: "warn",
		finding: /^2026-06-01T00:00:00.000Z at least/,
	});
	const certificate = {
		notBefore: now,
		notAfter: now + 90 * DAY,
	} as Parameters<typeof checkExpiry>[0];
	for (const [at, level] of [
		[now - 1, "fail"],
		[now, "ok"],
		[now + 70 * DAY, "ok"],
		[now + 84 * DAY, "warn"],
		[now + 90 * DAY, "fail"],
	] as const)
		t.equal(
			checkExpiry(
				certificate,
				timeOf(() => at),
			).level,
			level,
		);
});

t.test("findings of several lines, and remedies below", async (t) => {
	t.same(
		render([
			{ name: "disk", level: "ok", finding: "writable" },
			{ name: "clock", level: "fail", finding: "a\nb", remedy: "Set it." },
		]),
		[
			"ok    disk   writable",
			"fail  clock  a",
			"             b",
			"             Set it.",
		],
	);
});
