// What an idle box writes to its disk in a day: by the process's own count, and by the block device's.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { DAY, MINUTE, monotonic } from "../../src/base/time.ts";
import { type Bytes, formatBytes } from "../../src/base/units.ts";
import { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import { publish } from "../../src/headend/publish/publish.ts";
import { run } from "../run.ts";
import { Disk } from "./idle-writes/disk.ts";
import { machineFacts, mustBeOnDisk } from "./measure/machine.ts";
import { writtenBy } from "./measure/process.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const WORK = join(ROOT, "dist", "bench");
const CLIP = join(ROOT, "test", "media", "clip");
const USAGE = `npm run bench -- idle-writes [options]
  --minutes N    how long is measured (10); a day is extrapolated from it
  --settle N     minutes before, in which all calms down (2)
  --boxes N      boxes of the region, of which one is measured (6)
  --mount LIST   how its disk is mounted (noatime,commit=60)
  --json         print JSON
  --dir FOLDER   where the data lies while it runs: on a disk (dist/bench)`;

const { values: options } = parseArgs({
	options: {
		minutes: { type: "string", default: "10" },
		settle: { type: "string", default: "2" },
		boxes: { type: "string", default: "6" },
		mount: { type: "string", default: "noatime,commit=60" },
		json: { type: "boolean", default: false },
		dir: { type: "string", default: WORK },
		help: { type: "boolean", default: false },
	},
});
const stop = new AbortController();
const say = (line: string) => process.stderr.write(`${line}\n`);

function figure(name: "minutes" | "settle" | "boxes", least: number): number {
	const value = Number(options[name]);
	if (value >= least) return value;
	throw new Error(`--${name} takes a number of at least ${least}`);
}

/** A region that holds a film and has nothing to do; gives what one box of it wrote. */
async function measure(dir: string, disk: Disk | undefined) {
	const { signal } = stop;
	const desk = await Neighbourhood.start({ dir: join(dir, "desk"), copies: 2 });
	try {
		const { title } = await publish(
			{ operatorDir: desk.operator.dir, source: CLIP, kind: "title" },
			signal,
		);
		say(`published ${title.name}`);
		const own = await desk.addBox(disk && { data: join(disk.folder, "data") });
		for (let box = 1; box < figure("boxes", 1); box++) await desk.addBox();
		await desk.filled(1, signal);
		const pid = own.process?.pid;
		if (pid === undefined) throw new Error("the box does not run");
		const look = async () => ({
			at: monotonic(),
			device: await disk?.written(),
			process: writtenBy(pid),
		});
		say(`all is filled; ${options.settle} minutes for it to calm down`);
		await wait(figure("settle", 0) * MINUTE, undefined, { signal });
		const before = await look();
		say(`measuring for ${options.minutes} minutes`);
		await wait(figure("minutes", 0.1) * MINUTE, undefined, { signal });
		const after = await look();
		const span = after.at - before.at;
		const process = after.process - before.process;
		const device =
			before.device === undefined || after.device === undefined
				? undefined
				: after.device - before.device;
		const status = await desk.statusOf(own);
		const neighbours = status.swarm.neighbours.length;
		return { span, process, device, neighbours };
	} finally {
		await desk.close();
	}
}

async function main(): Promise<void> {
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => stop.abort(new Error("interrupted")));
	const machine = machineFacts();
	const parent = resolve(options.dir);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	say("building the bundle");
	await run(process.execPath, [join(ROOT, "build.mjs"), "--quiet"]);
	const dir = await mkdtemp(join(parent, "idle-"));
	const isRoot = process.getuid?.() === 0;
	let disk: Disk | undefined;
	try {
		if (isRoot) disk = await Disk.open(dir, options.mount);
		else
			say("without root there is no disk of its own: the process's count only");
		const { span, ...seen } = await measure(dir, disk);
		const aDay = (bytes: Bytes) => Math.round((bytes * DAY) / span);
		const day = {
			process: aDay(seen.process),
			device: seen.device === undefined ? null : aDay(seen.device),
		};
		if (options.json) {
			console.log(
				JSON.stringify({ machine, span, ...seen, day }, undefined, 2),
			);
			return;
		}
		for (const [name, value] of Object.entries(machine))
			console.log(`${name.padEnd(12)} ${value}`);
		console.log(
			`A box with ${seen.neighbours} neighbours, ${(span / MINUTE).toFixed(1)} minutes of idleness:`,
		);
		for (const [name, bytes] of [
			["process", seen.process],
			["device", seen.device],
		] as const)
			if (bytes !== undefined)
				console.log(
					`${name.padEnd(12)} ${formatBytes(bytes)}, in a day about ${formatBytes(aDay(bytes))} (extrapolated)`,
				);
	} finally {
		await disk?.close();
		await rm(dir, { recursive: true, force: true });
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
