import { join } from "node:path";
import t, { type Test } from "tap";
import { loadConfig } from "../../src/agent/config.ts";
import { LarderError } from "../../src/base/errors.ts";
import { GiB, KiB } from "../../src/base/units.ts";

const LEAST = `
data = "data"
[swarm]
bootstrap = ["10.0.0.1:49737"]
[broker]
url = "mqtts://broker.example"
[origin]
url = "http://origin.example/titles"
`;

function folder(test: Test, file: string, dropIns?: Record<string, string>) {
	return test.testdir({
		"larder.toml": file,
		...(dropIns && { "larder.toml.d": dropIns }),
	});
}

async function faults(test: Test, file: string, dropIns = {}) {
	const at = folder(test, file, dropIns);
	const error = await loadConfig(join(at, "larder.toml")).then(
		() => undefined,
		(error: unknown) => error,
	);
	if (!(error instanceof LarderError)) throw new Error("no fault was found");
	return {
		code: error.code,
		lines: error.message.split("\n").map((line) => line.replace(`${at}/`, "")),
	};
}

t.test("the least a box needs, and the defaults", async (t) => {
	const at = folder(t, LEAST);
	t.same(await loadConfig(join(at, "larder.toml")), {
		data: join(at, "data"),
		logLevel: "info",
		identity: join(at, "identity.json"),
		enrol: join(at, "enrol.json"),
		swarm: {
			bootstrap: [{ host: "10.0.0.1", port: 49737 }],
			host: "0.0.0.0",
			interface: undefined,
			port: 49740,
			reach: "nat",
			maxPeers: 64,
			tcp: true,
			tcpPort: 0,
		},
		broker: {
			url: "mqtts://broker.example",
			username: undefined,
			passwordFile: undefined,
			ca: undefined,
		},
		origin: { url: "http://origin.example/titles" },
		store: {
			quota: { kind: "share", share: 0.5 },
			reserve: { kind: "share", share: 0.05 },
			streamingShare: 0.1,
		},
		rates: { up: 0, upActive: "none", down: 0, origin: 0 },
		household: { pressure: 80 },
		fill: {
			...{ takeover: 10_000, writeBudget: "auto" },
			...{ zone: "UTC", windows: [] },
		},
		gateway: { host: "127.0.0.1", port: 8090, token: true, origins: [] },
		ipc: { socket: "/run/larder/agent.sock", group: undefined },
	});
});

t.test(
	"drop-ins override key by key, in the order of their names",
	async (t) => {
		const at = folder(t, LEAST, {
			"20-b.toml": '[rates]\nup = "1 Mbit/s"\n[broker]\nusername = "b"',
			"10-a.toml":
				'log_level = "debug"\n[rates]\nup = "9 Mbit/s"\ndown = "600 KiB/s"',
			"30-c.toml.bak": "no TOML at all",
			".40-d.toml.swp": "nor this",
		});
		const config = await loadConfig(join(at, "larder.toml"));
		t.equal(config.logLevel, "debug");
		const rest = { upActive: "none", origin: 0 };
		t.same(config.rates, { up: 125_000, down: 600 * KiB, ...rest });
		t.equal(config.broker.url, "mqtts://broker.example");
		t.equal(config.broker.username, "b");
	},
);

t.test("values with units, and paths", async (t) => {
	const read = async (extra: string) => {
		const at = folder(t, LEAST, { "a.toml": extra });
		return { at, config: await loadConfig(join(at, "larder.toml")) };
	};
	for (const [quota, is] of [
		["20 GiB", { kind: "bytes", bytes: 20 * GiB }],
		["80%", { kind: "share", share: 0.8 }],
	] as const)
		t.same((await read(`[store]\nquota = "${quota}"`)).config.store.quota, is);
	for (const [span, is] of [
		["500 ms", 500],
		["2 min", 120_000],
		["1.5s", 1500],
	] as const)
		t.equal(
			(await read(`[fill]\ntakeover = "${span}"`)).config.fill.takeover,
			is,
		);
	const { at, config } = await read(
		'data = "/var/lib/larder"\nidentity = "keys/box.json"\n[broker]\npassword_file = "secret"\nca = "ca.pem"\n[ipc]\nsocket = "run/s"',
	);
	t.equal(config.data, "/var/lib/larder");
	t.equal(config.identity, join(at, "keys/box.json"));
	t.equal(config.broker.passwordFile, join(at, "secret"));
	t.equal(config.broker.ca, join(at, "ca.pem"));
	t.equal(config.ipc.socket, join(at, "run/s"));
});

t.test("all faults at once, each with file and key", async (t) => {
	const { code, lines } = await faults(
		t,
		`
data = ""
log_levle = "info"
bootstrap = ["10.0.0.1:1"]
origin = "http://origin.example"
[swarm]
bootstrap = ["10.0.0.1"]
port = 70000
max_peers = "many"
[swram]
reach = "nat"
[store]
quota = "0"
streaming_share = 1.05
[rates]
up = 5
down = "0.5 bit/s"
[fill]
takeover = 10
[wholly]
foreign = true
`,
		{ "a.toml": '[rates]\norigin = "fast"\n[gateway]\nport = -1' },
	);
	t.equal(code, "CONFIG_INVALID");
	const starts = [
		"larder.toml:log_levle: is no key of Larder; did you mean log_level?",
		"larder.toml:bootstrap: is no key of Larder; did you mean swarm.bootstrap?",
		"larder.toml:origin: is a section; write [origin]",
		"larder.toml:swram.reach: is no key of Larder; did you mean swarm.reach?",
		"larder.toml:wholly.foreign: is no key of Larder; remove it",
		"larder.toml:data: takes a text that is not empty",
		'larder.toml:swarm.bootstrap: takes a list of "host:port"; "10.0.0.1" is none',
		"larder.toml:swarm.port: takes a whole number from 0 to 65535",
		"larder.toml:swarm.max_peers: takes a whole number from 1 to 1024",
		"larder.toml:broker.url: is not set; it takes a URL that starts with mqtt:// or mqtts://",
		"larder.toml:origin.url: is not set; it takes a URL that starts with http:// or https://",
		"larder.toml:store.quota: takes a size",
		"larder.toml:store.streaming_share: takes a number from 0 to 1",
		'larder.toml:rates.up: takes "5 Mbit/s"',
		"larder.toml:rates.down: takes",
		"larder.toml.d/a.toml:rates.origin: takes",
		"larder.toml:fill.takeover: takes a time",
		"larder.toml.d/a.toml:gateway.port: takes",
	];
	t.equal(lines.length, starts.length, lines.join("\n"));
	for (const start of starts)
		t.ok(
			lines.some((line) => line.startsWith(start)),
			start,
		);
});

t.test("the gateway is the box's own, and pages play by name", async (t) => {
	const problem = async (extra: string) =>
		(await faults(t, `${LEAST}\n[gateway]\n${extra}`)).lines.join("\n");
	for (const host of ["0.0.0.0", "::", "192.168.1.2", "localhost", "::1%lo"])
		t.match(
			await problem(`host = "${host}"`),
			"gateway.host: takes a loopback address",
		);
	for (const site of [
		"*",
		"tv.example",
		"https://tv.example/",
		"https://TV.example",
		"https://tv.example:443",
		"https://me@tv.example",
		"app://tv/x",
		1,
	])
		t.match(
			await problem(`origins = [${JSON.stringify(site)}]`),
			"gateway.origins: takes a list of origins",
			`${site}`,
		);
	const origins = [
		"https://tv.example:8443",
		"http://10.0.0.2",
		"app://tv",
		"null",
	];
	const at = folder(
		t,
		`${LEAST}\n[gateway]\nhost = "::1"\ntoken = false\norigins = ${JSON.stringify(origins)}\n[ipc]\ngroup = "tv"`,
		{},
	);
	const { gateway, ipc } = await loadConfig(join(at, "larder.toml"));
	t.match(gateway, { host: "::1", token: false, origins });
	t.equal(ipc.group, "tv");
});

t.test("a list without bootstrap nodes has its own code", async (t) => {
	const without = LEAST.replace(/bootstrap = .*/, "");
	t.equal((await faults(t, without)).code, "NO_BOOTSTRAP");
	const empty = LEAST.replace(/bootstrap = .*/, "bootstrap = []");
	t.equal((await faults(t, empty)).code, "NO_BOOTSTRAP");
	const worse = await faults(t, `${without}\n[store]\nquota = 1`);
	t.equal(worse.code, "CONFIG_INVALID");
	t.equal(worse.lines.length, 2);
});

t.test("what is no TOML is named by line and column", async (t) => {
	const { code, lines } = await faults(t, `${LEAST}\n[rates\n`);
	t.equal(code, "CONFIG_INVALID");
	t.equal(lines.length, 1, "keys of an unreadable file are not called missing");
	t.match(lines[0], /^larder\.toml:10:\d+: /);
	t.match(
		(await faults(t, LEAST, { "x.toml": "a = 1\na = 2" })).lines[0],
		/^larder\.toml\.d\/x\.toml:2:\d+: /,
	);
});

t.test("a missing file, and passwords in a URL", async (t) => {
	await t.rejects(loadConfig(join(t.testdir(), "larder.toml")), {
		code: "CONFIG_INVALID",
		message: /larder\.toml: cannot be read: ENOENT/,
	});
	const { lines } = await faults(t, LEAST.replace("mqtts://", "mqtts://a:b@"));
	t.match(lines[0], /without a user name/);
	t.notMatch(lines[0], "a:b");
});
