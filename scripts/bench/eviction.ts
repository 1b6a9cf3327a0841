// What the streaming share keeps: a week's viewing on one box and on a region, against LRU, LFU, SIEVE and the optimum.
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { type Bytes, formatBytes, GiB } from "../../src/base/units.ts";
import { table } from "../../src/cli/output.ts";
import { type Cache, Larder, Lfu, Lru, Sieve } from "./eviction/caches.ts";
import { type Cost, costAmong } from "./eviction/cost.ts";
import { farsightedHit, mostHit } from "./eviction/optimum.ts";
import { replay } from "./eviction/replay.ts";
import { makeTrace, type Popularity, type Trace } from "./eviction/trace.ts";
import { machineFacts } from "./measure/machine.ts";

const POPULARITIES: readonly Popularity[] = [0.6, 0.8, 1, "stretched"];
/** Of the catalog, for one cache that all viewers share. */
const SHARES = [0.01, 0.03, 0.1];
/** Of each box in a region. */
const LIMITS: readonly Bytes[] = [GiB, 3 * GiB, 9 * GiB];
/** As Larder, each box restarted each day: what it remembers is gone. */
const RESTARTED = "restarted";
const CACHES: Readonly<Record<string, (limit: Bytes, seed: number) => Cache>> =
	{
		Larder: (limit, seed) => new Larder(limit, seed),
		[RESTARTED]: (limit, seed) => new Larder(limit, seed),
		LRU: (limit) => new Lru(limit),
		LFU: (limit) => new Lfu(limit),
		SIEVE: (limit) => new Sieve(limit),
	};
/** Shards of a small streaming share, and of one of 1 TB. */
const AMONG = [4096, 65536];
const USAGE = `npm run bench -- eviction [options]
  --titles N   titles of the catalog (600)
  --plays N    plays in the week (3000)
  --boxes N    boxes of the region (50)
  --seed N     another week (1)
  --json       print JSON instead of tables`;

const { values: options } = parseArgs({
	options: {
		titles: { type: "string", default: "600" },
		plays: { type: "string", default: "3000" },
		boxes: { type: "string", default: "50" },
		seed: { type: "string", default: "1" },
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	},
});

/** Shares (0..1) of the bytes asked for that came from the origin. */
interface Row {
	readonly where: "one cache" | "region";
	readonly popularity: Popularity;
	/** Of each cache. */
	readonly limit: Bytes;
	/** Of all caches, as a share of the catalog. */
	readonly room: number;
	readonly origin: Readonly<Record<string, number>>;
	/** The least possible, and what foresight makes of one cache of that room. */
	readonly least: number;
	readonly farsighted: number;
}

function measure(
	where: Row["where"],
	popularity: Popularity,
	trace: Trace,
	limit: Bytes,
): Row {
	const boxes = where === "region" ? figure("boxes") : 1;
	const missed = (hit: Bytes) => 1 - hit / trace.asked;
	const origin = Object.entries(CACHES).map(([name, make]) => {
		const caches = Array.from({ length: boxes }, (_, box) => make(limit, box));
		const served = replay(trace, caches, figure("seed"), name === RESTARTED);
		return [name, served.origin / trace.asked];
	});
	const all = boxes * limit;
	return {
		...{ where, popularity, limit, room: all / trace.catalog },
		origin: Object.fromEntries(origin),
		least: missed(mostHit(trace.requests, all)),
		farsighted: missed(farsightedHit(trace.requests, all)),
	};
}

function* rows(): Generator<Row> {
	const common = { titles: figure("titles"), plays: figure("plays") };
	const seed = figure("seed");
	for (const popularity of POPULARITIES) {
		const trace = makeTrace({ ...common, popularity, seed, boxes: 1 });
		for (const share of SHARES) {
			const limit = Math.round(share * trace.catalog);
			yield measure("one cache", popularity, trace, limit);
		}
	}
	const boxes = figure("boxes");
	for (const popularity of POPULARITIES) {
		const trace = makeTrace({ ...common, popularity, seed, boxes });
		for (const limit of LIMITS)
			yield measure("region", popularity, trace, limit);
	}
}

function show(all: readonly Row[], costs: readonly Cost[]): void {
	const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
	const names = Object.keys(CACHES);
	const head = ["", "popularity", "each", "of the catalog", ...names];
	const lines = all.map((row) => [
		row.where,
		row.popularity === "stretched" ? "stretched" : `Zipf ${row.popularity}`,
		formatBytes(row.limit),
		percent(row.room),
		...names.map((name) => percent(row.origin[name] ?? Number.NaN)),
		percent(row.farsighted),
		percent(row.least),
		((row.origin["Larder"] ?? 0) / (row.origin["LRU"] ?? 0)).toFixed(2),
	]);
	head.push("foresight", "bound", "x LRU");
	const right = head.map((_, i) => i).slice(2);
	console.log(table([head, ...lines], right).join("\n"));
	console.log(`Share of the bytes asked for that came from the origin. one cache: all viewers share it; region: each box has
its own, and what it has not comes from a neighbour that has it. restarted: Larder, all boxes at each midnight. Until the
hand of SIEVE comes round, which takes most of the week, it does what LFU does. foresight: one cache of all that room that knows what is read
next (Belady). bound: less than this is impossible (PFOO-L). The optimum lies between the two.`);
	for (const { shards, span, memory } of costs)
		console.log(
			`Making room among ${shards} shards: ${(span * 1000).toFixed(0)} µs (median), ${memory.toFixed(0)} bytes of memory for each.`,
		);
}

function figure(name: "titles" | "plays" | "boxes" | "seed"): number {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} takes a whole number of at least 1`);
}

function main(): void {
	const machine = machineFacts();
	const costs = AMONG.map(costAmong);
	const all: Row[] = [];
	for (const row of rows()) {
		all.push(row);
		process.stderr.write(`\r${all.length} of ${2 * 4 * 3}`);
	}
	process.stderr.write("\n");
	if (options.json) {
		console.log(
			JSON.stringify({ machine, ...options, rows: all, costs }, null, 2),
		);
		return;
	}
	for (const [name, fact] of Object.entries(machine))
		console.log(`${name}: ${fact}`);
	show(all, costs);
}

if (options.help) console.log(USAGE);
else {
	try {
		main();
	} catch (error) {
		console.error(`bench: ${describe(error)}`);
		process.exitCode = 1;
	}
}
