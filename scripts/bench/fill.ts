// A title from one origin to many boxes with capped uplinks, against aria2, libtorrent and Syncthing. As root.
import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { MINUTE, SECOND } from "../../src/base/time.ts";
import { type Bytes, MiB } from "../../src/base/units.ts";
import { PYTHON } from "./exchange/torrent.ts";
import type { Contestant } from "./fill/contestant.ts";
import { floorOf } from "./fill/floor.ts";
import { larder } from "./fill/larder.ts";
import { race } from "./fill/race.ts";
import { figuresOf, type Result, show } from "./fill/report.ts";
import { syncthing } from "./fill/syncthing.ts";
import { aria2, libtorrent } from "./fill/torrent.ts";
import { threeFigures } from "./measure/figures.ts";
import { machineFacts } from "./measure/machine.ts";
import { runAlone } from "./network/alone.ts";
import { type Caps, Network } from "./network/network.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CONTESTANTS: readonly Contestant[] = [
	larder,
	libtorrent,
	aria2,
	syncthing,
];
const USAGE = `npm run bench -- fill [options]
  --boxes LIST    numbers of boxes (4,8,16)
  --megabytes N   size of the title in MiB (256)
  --up N          what each box may send, in Mbit/s (30)
  --trunk N       what the source may send, in Mbit/s (30)
  --down N        what each box may receive, in Mbit/s (100)
  --runs N        runs of each (1)
  --limit N       a race is over after so many floors (2)
  --only TEXT     those contestants only whose name has this in it
  --json          print JSON instead of tables, with what was sent in each second
  --keep          leave what was written, the logs too
  --dir FOLDER    where the data lies while it runs: on a disk (dist/bench)
It needs root for network namespaces; it makes them in one of its own, and they are gone with it.`;

const { values: options } = parseArgs({
	options: {
		boxes: { type: "string", default: "4,8,16" },
		megabytes: { type: "string", default: "256" },
		up: { type: "string", default: "30" },
		trunk: { type: "string", default: "30" },
		down: { type: "string", default: "100" },
		runs: { type: "string", default: "1" },
		limit: { type: "string", default: "2" },
		only: { type: "string", default: "" },
		json: { type: "boolean", default: false },
		keep: { type: "boolean", default: false },
		dir: { type: "string", default: join(ROOT, "dist", "bench") },
		help: { type: "boolean", default: false },
		/** The folder of this run; given to the process that runs in namespaces of its own. */
		inside: { type: "string" },
	},
});

const say = (line: string) => process.stderr.write(`${line}\n`);

async function inside(dir: string): Promise<void> {
	const sizes = options.boxes.split(",").map((text) => whole("boxes", text));
	const size = whole("megabytes") * MiB;
	const mbit = (name: "up" | "trunk" | "down") => whole(name) * 1e6;
	const caps = { source: mbit("trunk"), up: mbit("up"), down: mbit("down") };
	const contestants = CONTESTANTS.filter(({ name }) =>
		name.includes(options.only),
	);
	if (contestants.length === 0)
		throw new Error(`no contestant is called ${options.only}`);
	const facts = machineFacts({
		libtorrent: [PYTHON, "-c", "import libtorrent as l; print(l.__version__)"],
		aria2: ["aria2c", "--version"],
		syncthing: ["syncthing", "--version"],
		nginx: ["nginx", "-v"],
	});
	await mkdir(join(dir, "content"));
	const file = join(dir, "content", "film");
	await writeRandom(file, size);
	const results: Result[] = [];
	for (const boxes of sizes) {
		const floor = floorOf(size, boxes, caps);
		const rows = contestants.map(
			({ name }): Result => ({ name, boxes, floor, runs: [] }),
		);
		results.push(...rows);
		// In rotation, so that whatever drifts on this machine hits all alike.
		for (let run = 1; run <= whole("runs"); run++)
			for (const [i, contestant] of contestants.entries()) {
				const row = rows[i];
				if (row === undefined) continue;
				const own = join(dir, `${contestant.name}-${boxes}-${run}`);
				const go = (where: string) =>
					raceOnce(contestant, where, { file, size }, row, caps);
				row.runs.push(
					await go(own).catch((error: unknown) => {
						// Now and then libtorrent's Python dies at its start.
						say(`${describe(error)}\nonce more`);
						return go(`${own}-again`);
					}),
				);
				tell(row, size, caps);
			}
	}
	if (options.json) {
		const rows = results.map((result) => ({
			...result,
			figures: result.runs.map((run) => figuresOf(run, result, size, caps)),
		}));
		const report = { machine: facts, size, caps, results: rows };
		console.log(JSON.stringify(report, undefined, 2));
		return;
	}
	for (const [name, fact] of Object.entries(facts))
		console.log(`${name}: ${fact}`);
	console.log(
		`${options.megabytes} MiB; Mbit/s: trunk ${options.trunk}, each box ${options.up} up, ${options.down} down; ${options.runs} runs of each`,
	);
	show(results, size, caps);
	for (const { name, about } of contestants) console.log(`${name}: ${about}.`);
}

/** One race in a network and a folder of its own. */
async function raceOnce(
	contestant: Contestant,
	dir: string,
	content: { readonly file: string; readonly size: Bytes },
	{ boxes, floor }: Result,
	caps: Caps,
) {
	const limit = floor * Number(options.limit);
	const network = await Network.open(boxes, caps);
	try {
		await mkdir(dir);
		const signal = AbortSignal.timeout(Math.ceil(limit) + 2 * MINUTE);
		const stage = { dir, content, network };
		return await race(contestant, stage, limit, signal);
	} finally {
		await network.close();
		if (!options.keep) await rm(dir, { recursive: true, force: true });
	}
}

function tell(row: Result, size: Bytes, caps: Caps): void {
	const run = row.runs.at(-1);
	if (run === undefined) return;
	const { last, source } = figuresOf(run, row, size, caps);
	const floor = `the floor of ${threeFigures(row.floor / SECOND)} s`;
	const times = Number.isFinite(last)
		? `${threeFigures(last)} x ${floor}`
		: `not in ${options.limit} x ${floor}`;
	say(
		`${row.name}, ${row.boxes} boxes: ${times}, the source sent ${threeFigures(source)} titles`,
	);
}

async function writeRandom(file: string, size: Bytes): Promise<void> {
	const parts = function* () {
		for (let at = 0; at < size; at += MiB)
			yield randomBytes(Math.min(MiB, size - at));
	};
	await pipeline(Readable.from(parts()), createWriteStream(file));
}

function whole(
	name: "boxes" | "megabytes" | "up" | "trunk" | "down" | "runs",
	text = options[name],
): number {
	const value = Number(text);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} takes whole numbers of at least 1`);
}

if (options.help) console.log(USAGE);
else {
	try {
		if (options.inside === undefined)
			process.exitCode = await runAlone(
				import.meta.filename,
				process.argv.slice(2),
				{ name: "fill", parent: options.dir, keep: options.keep },
			);
		else await inside(options.inside);
	} catch (error) {
		console.error(`bench: ${describe(error)}`);
		process.exitCode = 1;
	}
}
