// Starting, winding and watching at boxes with capped uplinks, against nginx over a trunk. As root.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { HOUR, SECOND } from "../../src/base/time.ts";
import { seededRandom } from "./eviction/trace.ts";
import { machineFacts } from "./measure/machine.ts";
import { runAlone } from "./network/alone.ts";
import { Network } from "./network/network.ts";
import type { Contestant } from "./stream/contestant.ts";
import { type Evening, type EveningOptions, spend } from "./stream/evening.ts";
import { makeFilm, RENDITIONS } from "./stream/film.ts";
import { larder } from "./stream/larder.ts";
import { plot } from "./stream/plot.ts";
import { figuresOf, type Result, show } from "./stream/report.ts";
import { libtorrent } from "./stream/torrent.ts";
import { control, trunk } from "./stream/web.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CONTESTANTS: readonly Contestant[] = [larder, trunk, libtorrent, control];
const USAGE = `npm run bench -- stream [options]
  --boxes N       boxes in the region (20)
  --sessions N    sessions in all: each starts a film and winds once (100)
  --viewers N     sessions at once (4)
  --play N        seconds that are watched at each of the two places (10)
  --titles N      titles to choose from (5)
  --seconds N     length of the film (120)
  --up N          what each box may send, in Mbit/s (5)
  --down N        what each box may receive, in Mbit/s (50)
  --trunk N       what the source may send, in Mbit/s (20)
  --rtt LIST      round-trips from box to box, in ms (0,20)
  --chromium N    of the sessions, so many are hls.js in Chromium (0)
  --kill PART     so many of the boxes are killed in the middle (0)
  --seed N        of what is watched where (1)
  --only TEXT     those contestants only whose name has this in it
  --plot FILE     draw one session as an SVG: where each second's bytes came from, and what lay ahead of the picture
  --session N     which one that is (the last)
  --json          print JSON instead of a table
  --keep          leave what was written, the logs too
  --dir FOLDER    where the data lies while it runs: on a disk (dist/bench)
It needs root for network namespaces; it makes them in one of its own, and they are gone with it.`;

const { values: options } = parseArgs({
	options: {
		boxes: { type: "string", default: "20" },
		sessions: { type: "string", default: "100" },
		viewers: { type: "string", default: "4" },
		play: { type: "string", default: "10" },
		titles: { type: "string", default: "5" },
		seconds: { type: "string", default: "120" },
		up: { type: "string", default: "5" },
		down: { type: "string", default: "50" },
		trunk: { type: "string", default: "20" },
		rtt: { type: "string", default: "0,20" },
		chromium: { type: "string", default: "0" },
		kill: { type: "string", default: "0" },
		seed: { type: "string", default: "1" },
		only: { type: "string", default: "" },
		plot: { type: "string" },
		session: { type: "string" },
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
	const contestants = CONTESTANTS.filter(({ name }) =>
		name.includes(options.only),
	);
	if (contestants.length === 0)
		throw new Error(`no contestant is called ${options.only}`);
	const facts = machineFacts({
		nginx: ["nginx", "-v"],
		ffmpeg: ["ffmpeg", "-version"],
	});
	const film = join(dir, "film");
	await makeFilm(film, whole("seconds"));
	const results: Result[] = [];
	for (const rtt of options.rtt.split(",").map(Number))
		for (const contestant of contestants) {
			const own = join(dir, `${contestant.name.replaceAll(" ", "-")}-${rtt}`);
			const result = await evening(contestant, own, film, rtt);
			results.push(result);
			say(
				`${result.name}, ${rtt} ms: ${JSON.stringify(figuresOf(result.evening))}`,
			);
			for (const failure of result.evening.failures) say(failure);
		}
	if (options.json) {
		console.log(
			JSON.stringify({ machine: facts, options, results }, undefined, 2),
		);
		return;
	}
	for (const [name, fact] of Object.entries(facts))
		console.log(`${name}: ${fact}`);
	console.log(
		`${options.boxes} boxes; Mbit/s: trunk ${options.trunk}, each box ${options.up} up, ${options.down} down; at most ${options.viewers} viewers at once, ${Number(options.kill) * 100} % of the boxes killed`,
	);
	show(results);
	for (const { name, about } of contestants) console.log(`${name}: ${about}.`);
}

/** All sessions of one contestant, in a network and a folder of its own. */
async function evening(
	contestant: Contestant,
	dir: string,
	film: string,
	roundTrip: number,
): Promise<Result> {
	const network = await Network.open(whole("boxes"), undefined, roundTrip);
	try {
		await mkdir(dir);
		const titles = whole("titles");
		const signal = AbortSignal.timeout(HOUR);
		const house = await contestant.open({ dir, film, network, titles }, signal);
		try {
			await network.shape({
				source: whole("trunk") * 1e6,
				up: whole("up") * 1e6,
				down: whole("down") * 1e6,
			});
			const plan: EveningOptions = {
				sessions: whole("sessions"),
				viewers: whole("viewers"),
				titles,
				play: whole("play") * SECOND,
				killed: Number(options.kill),
				inChromium: Number(options.chromium),
				work: dir,
				drawn: options.plot === undefined ? undefined : plotted(),
				draw: seededRandom(whole("seed")),
			};
			const spent = await spend(network, house, plan, (line) =>
				say(`${contestant.name}: ${line}`),
			);
			await drawCourse(spent, `${contestant.name}, ${roundTrip} ms`);
			return { name: contestant.name, roundTrip, evening: spent };
		} finally {
			await house.close();
		}
	} finally {
		await network.close();
		if (!options.keep) await rm(dir, { recursive: true, force: true });
	}
}

/** From 0. */
function plotted(): number {
	const last = whole("sessions");
	const wanted = Number(options.session ?? last);
	if (Number.isInteger(wanted) && wanted > 0 && wanted <= last)
		return wanted - 1;
	throw new Error(`--session takes a number from 1 to ${last}`);
}

/** Draws the session that was to be drawn, if it told its course: the file is that of the last contestant and round-trip that did. */
async function drawCourse({ viewings }: Evening, name: string): Promise<void> {
	for (const { box, session, course } of viewings) {
		if (course === undefined || options.plot === undefined) continue;
		const megabits = (RENDITIONS[session.rendition] ?? 0) / 1e6;
		const title = `${name}: box ${box + 1} plays ${megabits} Mbit/s and winds once`;
		await writeFile(options.plot, plot(course, title));
		say(`drawn: ${options.plot}`);
	}
}

function whole(
	name:
		| "boxes"
		| "sessions"
		| "viewers"
		| "play"
		| "titles"
		| "seconds"
		| "up"
		| "down"
		| "trunk"
		| "seed",
): number {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} takes a whole number of at least 1`);
}

if (options.help) console.log(USAGE);
else {
	try {
		if (options.inside === undefined) {
			const { dir: parent, keep } = options;
			const args = process.argv.slice(2);
			const own = { name: "stream", parent, keep };
			process.exitCode = await runAlone(import.meta.filename, args, own);
		} else await inside(options.inside);
	} catch (error) {
		console.error(`bench: ${describe(error)}`);
		process.exitCode = 1;
	}
}
