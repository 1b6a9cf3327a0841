// Every title of a region of many boxes with few neighbours: whether it plays without the origin, and how soon its holders are met.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { monotonic, SECOND } from "../../src/base/time.ts";
import type { Millis } from "../../src/base/units.ts";
import { table } from "../../src/cli/output.ts";
import { VIEWER_PATIENCE, type ViewerPatience } from "../../src/plan/source.ts";
import { type Showing, Town } from "../../test/swarm/town.ts";
import { threeFigures } from "./measure/figures.ts";
import { machineFacts, mustBeOnDisk } from "./measure/machine.ts";

const WORK = join(import.meta.dirname, "..", "..", "dist", "bench");
/** How long boxes have to find each other. */
const MEET_LIMIT: Millis = 300 * SECOND;
const USAGE = `npm run bench -- region [options]
  --boxes N    agents' stores and swarms in one process, each on sockets of its own (200)
  --peers N    swarm.max_peers of each (16)
  --titles N   (50)
  --shards N   of each title, of 16 KiB (20)
  --copies N   (5)
  --json       print JSON instead of a table
  --dir FOLDER where their disks are (dist/bench)`;

const { values: options } = parseArgs({
	options: {
		boxes: { type: "string", default: "200" },
		peers: { type: "string", default: "16" },
		titles: { type: "string", default: "50" },
		shards: { type: "string", default: "20" },
		copies: { type: "string", default: "5" },
		json: { type: "boolean", default: false },
		dir: { type: "string", default: WORK },
		help: { type: "boolean", default: false },
	},
});
const say = (line: string) => process.stderr.write(`${line}\n`);

function figure(name: "boxes" | "peers" | "titles" | "shards" | "copies") {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} takes a whole number of at least 1`);
}

/** Boxes that dial a single holder, with nothing else going on. */
const ALONE = 20;
/**
 * All boxes share this process: the time that it takes to work for 200 of them is not to send viewers to the origin. What a box allows
 * itself is in src/plan/source.ts.
 */
const PATIENCE: ViewerPatience = {
	...VIEWER_PATIENCE,
	...{ dial: 10 * SECOND, holder: 10 * SECOND, giveUp: 120 * SECOND },
};

/** Each of some boxes dials one holder alone. */
async function meetAlone(town: Town) {
	const times: Millis[] = [];
	for (const resident of town.residents.slice(0, ALONE)) {
		const time = await town.meetOne(resident);
		if (time !== undefined) times.push(time);
	}
	return { met: times.length, ...spanOf(times) };
}

/** All titles, one after the other, each at a box that has least of it. */
async function playAll(town: Town, from: number) {
	const alone = await meetAlone(town);
	const showings: Showing[] = [];
	const { titles, residents } = town;
	for (const [n, title] of titles.entries()) {
		if (n > 0 && n % 10 === 0) say(`${n} of ${titles.length}`);
		const among = residents.filter((_, i) => i % titles.length === n);
		const place = Math.min(from, among.length - 1);
		try {
			showings.push(await town.play(title, among.slice(place, place + 2)));
		} catch (error) {
			say(`title ${n} did not play: ${describe(error)}`);
		}
	}
	const meetings = showings.flatMap((each) => each.meetings);
	return {
		alone,
		plays: titles.length,
		whole: showings.filter(({ whole }) => whole).length,
		firstByte: spanOf(showings.map(({ firstByte }) => firstByte)),
		met: meetings.length,
		/** From when a shard was lacked, and from when its holder was dialled, to when it was a neighbour. */
		fromLack: spanOf(meetings.map(({ lacked, came }) => came - lacked)),
		fromDial: spanOf(meetings.map(({ dialled, came }) => came - dialled)),
	};
}

function spanOf(values: readonly Millis[]) {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (share: number) =>
		sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ??
		Number.NaN;
	return { p50: at(0.5), p95: at(0.95), most: at(1) };
}

async function measure(folder: string) {
	const size = {
		...{ boxes: figure("boxes"), titles: figure("titles") },
		...{ shards: figure("shards"), copies: figure("copies") },
		maxPeers: figure("peers"),
	};
	const began = monotonic();
	say(`starting ${size.boxes} boxes`);
	const town = await Town.open({
		...{ folder, ...size, duration: 20 },
		patience: PATIENCE,
	});
	try {
		const counts = () =>
			town.residents.map(({ box }) => box.swarm.neighbours.size);
		const enough = Math.min(4, size.maxPeers, size.boxes - 1);
		const end = monotonic() + MEET_LIMIT;
		while (Math.min(...counts()) < enough) {
			if (monotonic() > end) throw new Error("they do not find each other");
			await new Promise((done) => setTimeout(done, SECOND / 4));
		}
		const neighbours = spanOf(counts());
		const started = monotonic() - began;
		say("playing, with all there");
		const all = await playAll(town, 0);
		const { fromOrigin } = town;
		await town.darken();
		say(
			"playing, with DHT nodes of the operator, origin, broker and headend gone",
		);
		const dark = await playAll(town, 2);
		return {
			...{ machine: machineFacts(), size, started, neighbours, all, dark },
			...{ fromOrigin, peak: process.resourceUsage().maxRSS * 1024 },
		};
	} finally {
		say("ending them");
		await town.close();
	}
}

type Report = Awaited<ReturnType<typeof measure>>;

function show({ size, started, neighbours, all, dark, ...report }: Report) {
	const { boxes, titles, shards, copies, maxPeers } = size;
	console.log(
		`${boxes} boxes with max_peers ${maxPeers} (${neighbours.p50} neighbours each by the median, ${neighbours.most} at most), up after ${threeFigures(started / SECOND)} s, ${Math.round(report.peak / 1e6)} MB in all`,
	);
	console.log(`${titles} titles of ${shards} shards, ${copies} copies\n`);
	const span = ({ p50, p95, most }: Report["all"]["fromDial"]) =>
		`${threeFigures(p50)} / ${threeFigures(p95)} / ${threeFigures(most)}`;
	const row = (name: string, of: (run: Report["all"]) => string) => [
		name,
		...[all, dark].map(of),
	];
	console.log(
		table(
			[
				["", "with all there", "with the operator gone"],
				row("titles played whole", (run) => `${run.whole} of ${run.plays}`),
				row("first byte, ms (p50 / p95 / most)", (run) => span(run.firstByte)),
				row(
					"one holder dialled alone, ms",
					(run) => `${span(run.alone)}, ${run.alone.met} of ${ALONE} met`,
				),
				row("holders dialled and met", (run) => String(run.met)),
				row("from lacking a shard to its holder, ms", (run) =>
					span(run.fromLack),
				),
				row("from dialling to a neighbour, ms", (run) => span(run.fromDial)),
			],
			[1, 2],
		).join("\n"),
	);
	console.log(`\n${report.fromOrigin} bytes of titles came from the origin`);
}

async function main(): Promise<void> {
	const parent = resolve(options.dir);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	const folder = await mkdtemp(join(parent, "region-"));
	try {
		const report = await measure(folder);
		if (options.json) console.log(JSON.stringify(report, undefined, 2));
		else show(report);
		const { all, dark, fromOrigin } = report;
		if (all.whole < all.plays || dark.whole < dark.plays || fromOrigin > 0)
			process.exitCode = 1;
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
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
