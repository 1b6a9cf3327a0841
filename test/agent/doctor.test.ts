import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { loadConfig } from "../../src/agent/config.ts";
import { Doctor } from "../../src/agent/doctor.ts";
import { finding } from "../../src/agent/finding.ts";
import { trustIn } from "../../src/wire/envelope.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";

t.test("one examination for all who ask at the same time", async (t) => {
	const asked = { broker: 0, origin: 0, nodes: 0, reach: 0, probes: 0 };
	const broker = createServer((socket) => {
		asked.broker++;
		socket.end();
	}).listen(0, "127.0.0.1");
	const origin = createHttp((_, answer) => {
		asked.origin++;
		answer.end();
	}).listen(0, "127.0.0.1");
	t.teardown(() => [broker, origin].map((server) => server.close()));
	await Promise.all([once(broker, "listening"), once(origin, "listening")]);
	const [brokerAt, originAt] = [broker, origin].map(
		(server) => (server.address() as AddressInfo).port,
	);
	const path = join(t.testdir(), "larder.toml");
	await writeFile(
		path,
		`data = "data"
[swarm]
bootstrap = ["127.0.0.1:1"]
[broker]
url = "mqtt://127.0.0.1:${brokerAt}"
[origin]
url = "http://127.0.0.1:${originAt}/"
`,
	);
	const doctor = new Doctor({
		config: await loadConfig(path),
		identity: { trust: trustIn(generateKeyPair().publicKey, Date.now) },
		store: {
			disk: {
				report: {
					state: "good",
					unreadable: 0,
					changed: 0,
					mended: 0,
					scrubbed: 0,
				},
			},
		},
		swarm: {
			nodes: [],
			survey: async (nodes) => {
				asked.nodes += nodes.length;
				return [];
			},
			refusals: new Map(),
			neighbours: new Map(),
		},
		reach: {
			look: async () => {
				asked.reach++;
				return { reach: "direct", check: finding("reach", "ok", "seen") };
			},
		},
		control: { connected: true, trouble: undefined },
		household: {
			status: {
				...{ part: "in", activity: "idle", give: 0 },
				limits: { up: 0, upActive: "none" },
			},
			insight: { carries: undefined, toldAgo: 0, pressed: 3 },
		},
		hours: { leave: { trunk: 0, neighbours: 0, up: 0 } },
		probes: {
			find: async () => {
				asked.probes++;
				return undefined;
			},
		},
	});

	const all = Array.from({ length: 32 }, () => doctor.examine());
	const [first, ...others] = await Promise.all(all);
	t.same(asked, { broker: 1, origin: 1, nodes: 1, reach: 1, probes: 1 });
	t.same(
		first?.checks.map(({ name, level }) => `${name} ${level}`),
		[
			...["identity fail", "disk warn", "space warn", "bootstrap ok"],
			...["broker ok", "origin ok", "clock ok", "time ok", "store ok"],
			...["control plane ok", "neighbours warn", "reach ok"],
			...["giving ok", "filling ok", "uplink warn", "memory ok"],
		],
	);
	for (const other of others) t.equal(other, first);
	await doctor.examine();
	t.same(
		asked,
		{ broker: 2, origin: 2, nodes: 2, reach: 2, probes: 2 },
		"and then anew",
	);
});
