// Two agents exchange a title, on both paths, against libtorrent and nginx + curl.
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { MINUTE } from "../../src/base/time.ts";
import { table } from "../../src/cli/output.ts";
import { boxes } from "./exchange/boxes.ts";
import {
	type Content,
	makeContent,
	mustBeContent,
} from "./exchange/content.ts";
import {
	type Contestant,
	type Figure,
	figuresOf,
	type Stage,
} from "./exchange/contestant.ts";
import { type Result, show, summarize } from "./exchange/report.ts";
import { PYTHON, torrent } from "./exchange/torrent.ts";
import { web } from "./exchange/web.ts";
import { type Figures, threeFigures } from "./measure/figures.ts";
import { machineFacts, mustBeOnDisk } from "./measure/machine.ts";
import { type Profile, selfTimes } from "./measure/profile.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const PROFILES = join(ROOT, "dist", "bench");
const RUN_LIMIT = 3 * MINUTE;
const TOP = 15;
const CONTESTANTS: readonly Contestant[] = [
	boxes("tcp"),
	boxes("udx"),
	torrent("rc4"),
	torrent("none"),
	web,
];
/** What the others are compared with: what a user would pick instead. */
const BASE = CONTESTANTS[2]?.name ?? "";
const USAGE = `npm run bench -- exchange [options]
  --megabytes N   size of the title in MiB (512)
  --runs N        runs of each (5)
  --only TEXT     those contestants only whose name has this in it
  --profile       one more run of Larder on each path under V8's profiler, into dist/bench
  --json          print JSON instead of tables
  --dir FOLDER    where the data lies while it runs: on a disk (dist/bench)`;

const { values: options } = parseArgs({
	options: {
		megabytes: { type: "string", default: "512" },
		runs: { type: "string", default: "5" },
		only: { type: "string", default: "" },
		profile: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		dir: { type: "string", default: PROFILES },
		help: { type: "boolean", default: false },
	},
});

const say = (line: string) => process.stderr.write(`${line}\n`);

/** One run in a folder of its own, its result checked byte by byte. */
async function once(
	contestant: Contestant,
	content: Content,
	dir: string,
	stop: AbortSignal,
	profiles?: string,
): Promise<Figures<Figure>> {
	const own = await mkdtemp(join(dir, "run-"));
	const stage: Stage = { dir: own, content, profiles };
	const signal = AbortSignal.any([stop, AbortSignal.timeout(RUN_LIMIT)]);
	try {
		const { course, pieces } = await contestant.run(stage, signal);
		await mustBeContent(content, pieces);
		return figuresOf(course, content.size);
	} finally {
		await rm(own, { recursive: true, force: true });
		stop.throwIfAborted();
	}
}

async function measure(
	contestants: readonly Contestant[],
	content: Content,
	dir: string,
	runs: number,
	stop: AbortSignal,
): Promise<Result[]> {
	const results = contestants.map(
		({ name, about }): Result => ({ name, about, runs: [] }),
	);
	// In rotation, so that whatever drifts on this machine hits all alike.
	for (let run = 1; run <= runs; run++) {
		for (const [i, contestant] of contestants.entries()) {
			const figures = await once(contestant, content, dir, stop);
			results[i]?.runs.push(figures);
			const speed = threeFigures(figures.mbpsSynced);
			say(`run ${run} of ${runs}: ${contestant.name}: ${speed} MB/s synced`);
		}
	}
	return results;
}

async function profile(
	contestants: readonly Contestant[],
	content: Content,
	dir: string,
	stop: AbortSignal,
): Promise<void> {
	for (const transport of ["tcp", "udx"]) {
		const name = boxes(transport as "tcp" | "udx").name;
		const contestant = contestants.find((one) => one.name === name);
		if (contestant === undefined) continue;
		await once(contestant, content, dir, stop, PROFILES);
		for (const role of ["receiver", "sender"]) {
			const file = join(PROFILES, `${role}-${transport}.cpuprofile`);
			const times = selfTimes(
				JSON.parse(await readFile(file, "utf8")) as Profile,
			);
			const rows = times
				.slice(0, TOP)
				.map(({ name, self, share }) => [
					`${(share * 100).toFixed(1)} %`,
					threeFigures((self * 1e6) / content.size),
					name,
				]);
			console.log(
				`\n${role}, ${transport}: main thread, self time; addons go by their nearest exported name (${relative(process.cwd(), file)})`,
			);
			const head = ["share", "ms/MB", "function"];
			console.log(table([head, ...rows], [0, 1]).join("\n"));
		}
	}
}

async function main(): Promise<void> {
	const megabytes = positive("megabytes");
	const runs = positive("runs");
	const contestants = CONTESTANTS.filter(({ name }) =>
		name.includes(options.only),
	);
	if (contestants.length === 0)
		throw new Error(`no contestant is called ${options.only}`);
	const facts = machineFacts({
		libtorrent: [PYTHON, "-c", "import libtorrent as l; print(l.__version__)"],
		nginx: ["nginx", "-v"],
		curl: ["curl", "--version"],
	});
	const stop = new AbortController();
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => stop.abort(new Error("interrupted")));
	const parent = resolve(options.dir);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	const dir = await mkdtemp(join(parent, "exchange-"));
	try {
		say(`making ${megabytes} MiB of content`);
		await mkdir(join(dir, "content"));
		const content = await makeContent(join(dir, "content"), megabytes);
		const results = await measure(contestants, content, dir, runs, stop.signal);
		const summaries = summarize(results, BASE);
		if (options.json) {
			const report = { machine: facts, megabytes, runs, results: summaries };
			console.log(JSON.stringify(report, undefined, 2));
		} else {
			for (const [name, fact] of Object.entries(facts))
				console.log(`${name}: ${fact}`);
			console.log(`${megabytes} MiB, ${runs} runs of each, in rotation`);
			show(summaries, BASE);
		}
		if (options.profile) await profile(contestants, content, dir, stop.signal);
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}

function positive(name: "megabytes" | "runs"): number {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} takes a whole number of at least 1`);
}

if (options.help) console.log(USAGE);
else {
	try {
		await main();
	} catch (error) {
		console.error(`bench: ${describe(error)}`);
		process.exitCode = 1;
	}
}
