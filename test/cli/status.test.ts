import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR, MINUTE } from "../../src/base/time.ts";
import { GiB, MiB } from "../../src/base/units.ts";
import { render } from "../../src/cli/status.ts";
import { startIpc } from "../../src/ipc/server.ts";
import {
	MAX_IPC_FRAME,
	MAX_STATUS_TITLES,
	type Status,
	status,
} from "../../src/wire/ipc.ts";
import { parseValue } from "../../src/wire/json.ts";
import { silentAgent } from "../ipc/silent.ts";
import { run, shortFolder } from "./run.ts";

const NOW = Date.UTC(2026, 5, 1);

const sample = {
	writes: {
		...{ budget: 4 * GiB, spent: GiB },
		wear: { used: 30, reserve: "normal" },
		written: { boot: 5 * GiB, all: 70 * GiB },
	},
	version: "0.1.0",
	box: "b0".repeat(32),
	region: "north-1",
	session: "0123456789abcdef",
	uptime: 2 * DAY + 3 * HOUR,
	power: "active",
	membership: { role: "box", serial: "0001", notAfter: NOW + 90 * DAY },
	swarm: {
		reach: "direct",
		port: 49740,
		tcpPort: 41000,
		neighbours: [
			{
				box: "c1".repeat(32),
				link: "tcp",
				roundTripMs: 3.2,
				throughput: 5 * MiB,
				inFlight: 0,
				bytesFrom: 12 * GiB,
				bytesTo: 3 * MiB,
				since: NOW - HOUR,
			},
			{
				box: "d2".repeat(32),
				link: "udx",
				roundTripMs: 0,
				throughput: 0,
				inFlight: 0,
				bytesFrom: 0,
				bytesTo: 0,
				since: NOW,
			},
		],
	},
	control: {
		broker: "mqtt://broker.example",
		connected: false,
		since: NOW - 5 * MINUTE,
		lastPlacement: {
			epoch: 1,
			rev: 7,
			phase: "short",
			at: NOW - MINUTE,
			code: "quota",
		},
	},
	store: {
		capacity: 20 * GiB,
		usedSpace: 5 * GiB,
		streamingShare: 2 * GiB,
		transientBytes: GiB,
		placedBytes: 8 * GiB,
		heldBytes: 4 * GiB,
		missingBytes: GiB,
		reserve: 3 * GiB,
		shards: { placed: 512, held: 256 },
	},
	titles: [{ id: "e3".repeat(32), placed: 512, held: 256 }],
	streams: [
		{ id: "s1", title: "e3".repeat(32), bytes: MiB, rate: MiB, sources: 3 },
	],
	rates: { down: 2 * MiB, up: MiB, origin: 0.5 * MiB },
	limits: { down: 0, up: 2 * MiB, origin: 0 },
	counters: {
		fromNeighbours: 12 * GiB,
		fromOrigin: GiB,
		toNeighbours: 3 * MiB,
		toPlayers: 2 * GiB,
		playedFromDisk: GiB,
		playedFromNeighbours: GiB,
		playedFromOrigin: 0,
		wrongBlocks: 0,
	},
	problems: ["the broker is not reachable"],
};

function read(value: unknown): Status {
	const parsed = parseValue(status, value);
	if (!parsed.ok) throw new Error(parsed.detail);
	return parsed.value;
}

t.test("what a person reads", async (t) => {
	t.same(render(read(sample), NOW), [
		"problem  the broker is not reachable",
		"box         b0b0b0b0 in north-1, active",
		"agent       0.1.0, up 2 d 3 h",
		"membership  box 0001, valid until 2026-08-30",
		"broker      mqtt://broker.example, not connected for 5 min",
		"placement   1.7 short (quota), 1 min ago",
		"store       5.00 GiB of 20.0 GiB used (25 %), 4.00 GiB of 8.00 GiB placed, no room for 1.00 GiB, 1.00 GiB of 2.00 GiB from watching; 3.00 GiB of the disk left to others",
		"shards      256 of 512 held",
		"writes      1.00 GiB of 4.00 GiB a day, 5.00 GiB since the boot, 70.0 GiB in all, flash is up to 30 % worn",
		"rates       2.00 MiB/s down, 512 KiB/s of it from the origin, 1.00 MiB/s up",
		"limits      no limit down, no limit from the origin, 2.00 MiB/s up",
		"received    12.0 GiB from neighbours, 1.00 GiB from the origin",
		"sent        3.00 MiB to neighbours, 2.00 GiB to players",
		"network     reach direct, UDP 49740, TCP 41000, 2 neighbours",
		"",
		"neighbour  link  delay       speed  in flight      from        to  since",
		"c1c1c1c1   tcp    3 ms  5.00 MiB/s        0 B  12.0 GiB  3.00 MiB    1 h",
		"d2d2d2d2   udx       -           -        0 B       0 B       0 B    0 s",
		"",
		"stream  title       played       speed  sources",
		"s1      e3e3e3e3  1.00 MiB  1.00 MiB/s        3",
		"",
		"title     held  placed",
		"e3e3e3e3   256     512",
	]);
});

t.test("a young box without anything", async (t) => {
	const young = {
		...sample,
		membership: { ...sample.membership, notAfter: NOW - DAY },
		swarm: { ...sample.swarm, tcpPort: 0, neighbours: [] },
		control: { broker: "mqtt://broker.example", connected: true },
		store: { ...sample.store, capacity: 0, usedSpace: 0 },
		titles: [],
		streams: [],
		problems: [],
	};
	const text = render(read(young), NOW).join("\n");
	for (const part of [
		"expired on 2026-05-31",
		"broker.example, connected\n",
		"placement   none yet",
		"(0 %)",
		"no TCP, 0 neighbours",
	])
		t.match(text, part);
});

t.test(
	"from a running agent: text without colour, or the raw result",
	async (t) => {
		const socket = join(await shortFolder(t), "s");
		const more = { ...sample, fromNewerAgent: true };
		const server = await startIpc({
			socket,
			handlers: { ...silentAgent, status: async () => more },
			log: silent,
		});
		t.teardown(() => server.close());
		const text = await run("status", { socket, json: false });
		t.equal(text.code, 0);
		t.match(text.stdout, /^problem {2}the broker/);
		t.notMatch(text.stdout, "\u001b");
		const json = await run("status", { socket, json: true });
		t.same(JSON.parse(json.stdout), more);
	},
);

t.test("the longest list of titles fits into a frame", async (t) => {
	const title = { id: "e3".repeat(32), placed: 99_999, held: 99_999 };
	const [neighbour] = sample.swarm.neighbours;
	const full = {
		...sample,
		titles: new Array(MAX_STATUS_TITLES).fill(title),
		swarm: {
			...sample.swarm,
			neighbours: new Array(256).fill({
				...neighbour,
				throughput: 1e9 / 3,
				roundTripMs: 10 / 3,
			}),
		},
	};
	t.ok(JSON.stringify(read(full)).length < MAX_IPC_FRAME);
});

t.test("no agent", async (t) => {
	const { code, stderr } = await run("status", {
		socket: join(await shortFolder(t), "none"),
		json: false,
	});
	t.not(code, 0);
	t.match(stderr, "IPC_UNREACHABLE");
});
