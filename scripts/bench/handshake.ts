// Two boxes become neighbours on loopback: what membership adds to Noise, over UDX and over TCP.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { createLog } from "../../src/base/log.ts";
import { GiB } from "../../src/base/units.ts";
import { table } from "../../src/cli/output.ts";
import { freeUdpPort } from "../../src/desk/ports.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { openBootstrapNode } from "../../src/swarm/dht.ts";
import type { Region } from "../../src/wire/ids.ts";
import { startPeer } from "./exchange/boxes.ts";
import {
	Caller,
	hangUp,
	patiently,
	SPANS,
	type Spans,
} from "./handshake/caller.ts";
import { medians, spread } from "./measure/figures.ts";
import { machineFacts } from "./measure/machine.ts";

const USAGE = `npm run bench -- handshake [options]
  --runs N   connections over each transport (200)
  --json     print JSON instead of a table`;

const { values: options } = parseArgs({
	options: {
		runs: { type: "string", default: "200" },
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	},
});

type Results = Record<"udx" | "tcp", Spans[]>;

/** As neighbours do it: first over UDX, then over TCP beside it. */
async function measure(dir: string, runs: number): Promise<Results> {
	const bootstrap = `127.0.0.1:${await freeUdpPort()}`;
	const port = Number(bootstrap.split(":")[1]);
	const operator = await initOperator(join(dir, "operator"), {
		region: "bench-1" as Region,
		bootstrap: [bootstrap],
	});
	const folder = (name: string) => join(dir, name);
	const box = await issueBox(operator, {
		serial: "answers",
		dir: folder("answers"),
	});
	await issueBox(operator, { serial: "calls", dir: folder("calls") });
	const node = await openBootstrapNode("127.0.0.1", port, []);
	const other = startPeer("answers", {
		...{ box: folder("answers"), store: folder("store"), bootstrap },
		...{ capacity: GiB, transport: "tcp" },
	});
	const caller = await Caller.open(
		folder("calls"),
		bootstrap,
		createLog("caller", "warn"),
	);
	try {
		const results: Results = { udx: [], tcp: [] };
		for (let run = 0; run < runs; run++) {
			const udx = await patiently(caller, box);
			const tcp = await caller.tcp(udx.member);
			results.udx.push(udx.spans);
			results.tcp.push(tcp.spans);
			await hangUp(tcp);
			await hangUp(udx);
		}
		return results;
	} finally {
		await caller.close();
		await other.close();
		await node.destroy({ force: true });
	}
}

async function main(): Promise<void> {
	const runs = Number(options.runs);
	if (!Number.isInteger(runs) || runs < 1)
		throw new Error("--runs is a whole number from 1 on");
	const facts = machineFacts();
	const dir = await mkdtemp(join(tmpdir(), "larder-handshake-"));
	try {
		const results = await measure(dir, runs);
		if (options.json) {
			const summary = Object.entries(results).map(([transport, all]) => [
				transport,
				medians(SPANS, all),
			]);
			console.log(
				JSON.stringify({ facts, runs, ...Object.fromEntries(summary) }),
			);
			return;
		}
		for (const [name, fact] of Object.entries(facts))
			console.log(`${name}: ${fact}`);
		const rows = Object.entries(results).map(([transport, all]) => [
			transport,
			...SPANS.map((span) => spread(all.map((spans) => spans[span]))),
		]);
		const head = ["", "until Noise is through, ms", "membership adds, ms"];
		console.log(`\nmedian of ${runs} (lowest–highest)`);
		console.log(table([head, ...rows], [1, 2]).join("\n"));
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}

if (options.help) console.log(USAGE);
else
	await main().catch((error: unknown) => {
		console.error(describe(error));
		process.exitCode = 1;
	});
