// A box starts from nothing: time until it is ready, size of the bundle, memory when idle.
import { spawnSync } from "node:child_process";
import { accessSync, constants, writeFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { NODE_FLAGS } from "../../src/agent/runtime.ts";
import { describe } from "../../src/base/errors.ts";
import { SECOND } from "../../src/base/time.ts";
import type { Millis } from "../../src/base/units.ts";
import { run } from "../run.ts";
import { Child } from "./measure/child.ts";
import { threeFigures } from "./measure/figures.ts";
import { machineFacts, mustBeOnDisk } from "./measure/machine.ts";
import { memoryOf, peakRss } from "./measure/process.ts";
import { Desk, type IssuedBox, neighboursOf } from "./start/desk.ts";
import { launch, timeToEnd } from "./start/launch.ts";
import {
	CACHES,
	type IdleMemory,
	type Report,
	STARTS,
	type Start,
	show,
	type Times,
} from "./start/report.ts";
import { sizeOf } from "./start/size.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const WORK = join(ROOT, "dist", "bench");
const TARGET = `${process.platform}-${process.arch}`;
const LISTENER = join(import.meta.dirname, "start", "notify.py");
const DROP = "/proc/sys/vm/drop_caches";
const MEET_LIMIT = 60 * SECOND;
const USAGE = `npm run bench -- start [options]
  --runs N          starts of each kind (10)
  --neighbours N    neighbours of the box whose memory is looked at (6); without any it is looked at as well
  --idle SECONDS    how long a box has been idle by then (30)
  --json            print JSON instead of tables
  --dir FOLDER      where the data lies while it runs: on a disk (dist/bench)`;

const { values: options } = parseArgs({
	options: {
		runs: { type: "string", default: "10" },
		neighbours: { type: "string", default: "6" },
		idle: { type: "string", default: "30" },
		json: { type: "boolean", default: false },
		dir: { type: "string", default: WORK },
		help: { type: "boolean", default: false },
	},
});

const stop = new AbortController();
const say = (line: string) => process.stderr.write(`${line}\n`);

const pause = (ms: Millis) =>
	new Promise<void>((resolve, reject) => {
		const abort = () => reject(stop.signal.reason as Error);
		const timer = setTimeout(() => {
			stop.signal.removeEventListener("abort", abort);
			resolve();
		}, ms);
		stop.signal.addEventListener("abort", () => {
			clearTimeout(timer);
			abort();
		});
	});

/** The box that is measured: files that no other process uses, so that they can be cold and count in full. */
interface Own {
	readonly node: string;
	readonly bundle: string;
}

async function prepare(dir: string): Promise<{ own: Own; others: Own }> {
	const built = join(dir, "agent");
	await run(process.execPath, [
		...[join(ROOT, "build.mjs"), "--quiet", "--target", TARGET],
		...["--out", built],
	]);
	const copy = join(dir, "own");
	await mkdir(copy);
	await cp(process.execPath, join(copy, "node"), { dereference: true });
	await cp(join(built, TARGET), join(copy, "bundle"), { recursive: true });
	return {
		own: { node: join(copy, "node"), bundle: join(copy, "bundle") },
		others: { node: process.execPath, bundle: join(built, TARGET) },
	};
}

function agent(
	{ node, bundle }: Own,
	{ config }: IssuedBox,
): [string, ...string[]] {
	return [
		node,
		...NODE_FLAGS,
		join(bundle, "larder.mjs"),
		"agent",
		"-c",
		config,
	];
}

/** Whether this process may empty the page cache. */
function canDropCaches(): boolean {
	try {
		accessSync(DROP, constants.W_OK);
		return true;
	} catch {
		return false;
	}
}

function dropCaches(): void {
	spawnSync("sync");
	writeFileSync(DROP, "3");
}

/** Times of starting one box again and again, each kind in turn. */
async function timeStarts(
	own: Own,
	desk: Desk,
	sockets: string,
): Promise<Times> {
	const runs = whole("runs", 1);
	const box = await desk.issue();
	const socket = join(sockets, "notify");
	const notifies = spawnSync("systemd-notify", ["--version"]).status === 0;
	const listener = new Child("listener", "/usr/bin/python3", [
		LISTENER,
		socket,
	]);
	const start: Record<Start, () => Promise<Millis>> = {
		ready: async () => {
			const running = await launch(agent(own, box));
			await running.stop();
			return running.readyAfter;
		},
		notified: async () => {
			const env = { NOTIFY_SOCKET: socket };
			const running = await launch(agent(own, box), env);
			await running.stop();
			const { at } = await listener.said("notified", stop.signal);
			return Number(at) - running.began;
		},
		node: () => timeToEnd([own.node, "-e", "0"]),
	};
	const times: Times = {
		cold: { ready: [], notified: [], node: [] },
		warm: { ready: [], notified: [], node: [] },
	};
	try {
		await listener.said("listening", stop.signal);
		// The first start of all makes folders that every later one finds.
		const first = await start.ready();
		say(`first start, which makes the box's folders: ${seconds(first)} s`);
		for (let i = 1; i <= runs; i++) {
			for (const cache of CACHES) {
				for (const kind of STARTS) {
					stop.signal.throwIfAborted();
					if (kind === "notified" && !notifies) continue;
					if (cache === "cold" && !canDropCaches()) continue;
					if (cache === "cold") dropCaches();
					times[cache][kind].push(await start[kind]());
				}
			}
			say(`start ${i} of ${runs}`);
		}
		return times;
	} finally {
		await listener.close();
	}
}

/** Memory of a box that has been idle for a while among neighbours. */
async function idleMemory(
	{ own, others }: { own: Own; others: Own },
	desk: Desk,
	neighbours: number,
): Promise<IdleMemory> {
	const box = await desk.issue();
	const started: { stop(): Promise<void> }[] = [];
	try {
		for (let i = 0; i < neighbours; i++)
			started.push(await launch(agent(others, await desk.issue())));
		const running = await launch(agent(own, box));
		started.push(running);
		const limit = AbortSignal.timeout(MEET_LIMIT);
		while ((await neighboursOf(box)) < neighbours) {
			limit.throwIfAborted();
			await pause(SECOND / 4);
		}
		say(`idle for ${options.idle} s with ${neighbours} neighbours`);
		await pause(whole("idle", 0) * SECOND);
		const memory = memoryOf(running.pid);
		if (memory === undefined) throw new Error("the agent ended");
		return {
			neighbours: await neighboursOf(box),
			...memory,
			peakRss: peakRss(running.pid),
		};
	} finally {
		await Promise.all(started.map((one) => one.stop()));
	}
}

const seconds = (ms: Millis) => threeFigures(ms / 1000);

function whole(name: "runs" | "neighbours" | "idle", least: number): number {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value >= least) return value;
	throw new Error(`--${name} takes a whole number of at least ${least}`);
}

async function main(): Promise<void> {
	const neighbours = whole("neighbours", 0);
	const machine = machineFacts();
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => stop.abort(new Error("interrupted")));
	const parent = resolve(options.dir);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	const dir = await mkdtemp(join(parent, "start-"));
	const sockets = await mkdtemp(join(tmpdir(), "larder-"));
	let desk: Desk | undefined;
	try {
		say("building the bundle");
		const files = await prepare(dir);
		desk = await Desk.open(dir, sockets);
		const times = await timeStarts(files.own, desk, sockets);
		const memory: IdleMemory[] = [];
		for (const count of new Set([0, neighbours]))
			memory.push(await idleMemory(files, desk, count));
		say("packing");
		const bundle = await sizeOf(files.own.bundle);
		const runtime = await sizeOf(files.own.node);
		const report: Report = {
			machine,
			target: TARGET,
			sizes: { bundle, runtime },
			times,
			idle: whole("idle", 0),
			memory,
		};
		if (options.json) console.log(JSON.stringify(report, undefined, 2));
		else show(report);
	} finally {
		await desk?.close();
		for (const folder of [dir, sockets])
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
