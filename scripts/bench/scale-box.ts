// A box with a terabyte of 5,000 titles and 64 neighbours: its start, memory, and what a new placement costs it.
import { spawnSync } from "node:child_process";
import { accessSync, constants, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { NODE_FLAGS } from "../../src/agent/runtime.ts";
import { describe } from "../../src/base/errors.ts";
import { monotonic, SECOND } from "../../src/base/time.ts";
import type { Millis } from "../../src/base/units.ts";
import {
	DEFAULT_BLOCK_SIZE,
	DEFAULT_SHARD_BLOCKS,
} from "../../src/content/geometry.ts";
import { callIpc } from "../../src/ipc/client.ts";
import { playerToken } from "../../src/wire/ipc.ts";
import { parseValue } from "../../src/wire/json.ts";
import type { PlacedTitle } from "../../src/wire/placement.ts";
import { encodeRanges } from "../../src/wire/ranges.ts";
import { run } from "../run.ts";
import { Child } from "./measure/child.ts";
import { machineFacts, mustBeOnDisk } from "./measure/machine.ts";
import { MemoryWatch } from "./measure/process.ts";
import {
	type Hoarded,
	makeHoard,
	makeReal,
	type Real,
} from "./scale-box/hoard.ts";
import type { MembersOrder, MembersSettings } from "./scale-box/members.ts";
import { Region } from "./scale-box/region.ts";
import { type Report, show } from "./scale-box/report.ts";
import { takeStock } from "./scale-box/stock.ts";
import { Player, type Span, Watch } from "./scale-box/watch.ts";
import { launch, type Running } from "./start/launch.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const WORK = join(ROOT, "dist", "bench");
const TARGET = `linux-${process.arch}`;
const MEMBERS = join(import.meta.dirname, "scale-box", "members.ts");
const DROP = "/proc/sys/vm/drop_caches";
const SHARD = DEFAULT_BLOCK_SIZE * DEFAULT_SHARD_BLOCKS;
/** Titles of which a shard is missing that nobody has: neighbours are asked about them throughout. */
const WANTED = 128;
/** Shards of the title whose bytes are real, and how many of them are here from the start. */
const REAL = { length: 32, held: 4 };
const USAGE = `npm run bench -- scale-box [options]
  --titles N      (5000)
  --shards N      of 16 MiB, over all titles (65536)
  --length N      shards that each title has in all (256)
  --segments N    files that each title has (1000)
  --peers N       (64)
  --starts N      of each kind (3)
  --only-start    nothing but the starts
  --load SECONDS  how long neighbours fetch while it fills and plays (30)
  --idle SECONDS  (60)
  --json          print JSON instead of tables
  --dir FOLDER    where the data lies while it runs: on a disk (dist/bench)`;

const { values: options } = parseArgs({
	options: {
		titles: { type: "string", default: "5000" },
		shards: { type: "string", default: "65536" },
		length: { type: "string", default: "256" },
		segments: { type: "string", default: "1000" },
		peers: { type: "string", default: "64" },
		starts: { type: "string", default: "3" },
		"only-start": { type: "boolean", default: false },
		load: { type: "string", default: "30" },
		idle: { type: "string", default: "60" },
		json: { type: "boolean", default: false },
		dir: { type: "string", default: WORK },
		help: { type: "boolean", default: false },
	},
});
const stop = new AbortController();
const say = (line: string) => process.stderr.write(`${line}\n`);

function figure(
	name:
		| "titles"
		| "shards"
		| "length"
		| "segments"
		| "peers"
		| "starts"
		| "load"
		| "idle",
	least = 1,
): number {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value >= least) return value;
	throw new Error(`--${name} takes a whole number of at least ${least}`);
}

/** A box on the desk: its folder, and what its data folder holds. */
interface Box {
	readonly dir: string;
	readonly socket: string;
	readonly bundle: string;
}

function start({ dir, bundle }: Box): Promise<Running> {
	const config = join(dir, "larder.toml");
	// The heap and the allocator as in systemd/.
	const flags = ["--max-old-space-size=96", ...NODE_FLAGS];
	const agent = [...flags, bundle, "agent", "-c", config];
	return launch([process.execPath, ...agent], {
		MALLOC_ARENA_MAX: "1",
		MALLOC_MMAP_THRESHOLD_: "131072",
	});
}

function canDropCaches(): boolean {
	try {
		accessSync(DROP, constants.W_OK);
		return true;
	} catch {
		return false;
	}
}

/** From exec to ready, with and without the files in memory. */
async function timeStarts(box: Box) {
	const times: { warm: Millis[]; cold: Millis[] } = { warm: [], cold: [] };
	for (let i = 0; i < figure("starts"); i++) {
		for (const kind of ["warm", "cold"] as const) {
			stop.signal.throwIfAborted();
			if (kind === "cold" && !canDropCaches()) continue;
			if (kind === "cold") {
				spawnSync("sync");
				writeFileSync(DROP, "3");
			}
			const running = await start(box);
			times[kind].push(running.readyAfter);
			await running.stop();
		}
	}
	return times;
}

/** What the operator has it hold: all that is there, of several ranks, and a little that nobody has. */
function placementOf(hoard: readonly Hoarded[]): PlacedTitle[] {
	return hoard.map(({ id, held }, n) => {
		const byRank = Map.groupBy(held, (shard) => (shard + n) % 3);
		if (n < WANTED) byRank.set(1, [...(byRank.get(1) ?? []), 1]);
		const ranks = [...byRank]
			.toSorted(([a], [b]) => a - b)
			.map(([rank, shards]) => ({ rank, shards: encodeRanges(shards) }));
		return { id, ranks };
	});
}

async function measure(dir: string, sockets: string): Promise<Report> {
	const { signal } = stop;
	const size = {
		...{ titles: figure("titles"), shards: figure("shards") },
		...{ length: figure("length", 2), segments: figure("segments") },
	};
	const region = await Region.open(dir);
	const socket = join(sockets, "agent.sock");
	const box: Box = {
		dir: join(dir, "box"),
		socket,
		bundle: join(ROOT, "dist", "agent", TARGET, "larder.mjs"),
	};
	const id = await region.issue(box.dir, "2 TiB", socket);
	let members: Child | undefined;
	let running: Running | undefined;
	try {
		say("starting it with nothing");
		const empty = await timeStarts(box);
		running = await start(box);
		await wait(10 * SECOND, undefined, { signal });
		const nothing = await new Watch(running.pid, socket).end(
			"nothing on the disk, no neighbour",
		);
		await running.stop();
		say(`making ${size.titles} titles with ${size.shards} shards`);
		const data = join(box.dir, "data");
		const shards = join(data, "shards");
		const hoard = makeHoard(shards, size);
		const real = makeReal(shards, REAL.length, REAL.held);
		// What is sparse would be found damaged: it counts as read through, and the next pass is due in a week.
		await writeFile(join(data, "control", "scrub.json"), '{"ended":0}');
		say("starting it with all of them");
		running = await start(box);
		const first = { warm: [running.readyAfter], cold: [] };
		await running.stop();
		const full = await timeStarts(box);
		const starts = { empty, first, full };
		const report = { machine: machineFacts(), size, starts };
		if (options["only-start"]) return report;
		await region.publish([...hoard, real], [real]);
		const spans: Span[] = [nothing];
		running = await start(box);
		const watch = new Watch(running.pid, socket);
		const note = async (what: string) => {
			spans.push(await watch.end(what));
			say(what);
			await watch.begin();
		};
		await watch.begin();
		await region.until(() => region.fills[0], signal);
		await wait(10 * SECOND, undefined, { signal });
		await note("all on the disk, catalog here, nothing placed");

		const placed = placementOf(hoard);
		const told = await region.place(id, placed);
		const took = async (rev: number) =>
			(
				await region.until(
					() =>
						region.reports.find(
							({ said }) => said.rev === rev && said.phase !== "accepted",
						),
					signal,
				)
			).at;
		const firstTook = (await took(told.rev)) - told.at;
		await note("it is told what to hold");
		await wait(10 * SECOND, undefined, { signal });
		await note("idle, all placed");

		members = await join64(region, dir, id, real);
		await note("neighbours come");
		tell(members, { do: "want", titles: hoard.map((title) => title.id) });
		await members.said("told", signal);
		await note("neighbours ask");
		await wait(10 * SECOND, undefined, { signal });
		await note("idle, with neighbours");
		say(`${(await watch.status()).swarm.neighbours.length} neighbours`);

		const player = await playerOf(socket, real);
		const opened = await player.once(0);
		player.begin(20);
		await wait(3 * SECOND, undefined, { signal });
		await note("a viewer plays");
		const without = placed.slice(Math.min(100, Math.floor(placed.length / 10)));
		const live = {
			id: real.id,
			ranks: [
				{
					rank: 1,
					shards: encodeRanges(
						Array.from({ length: REAL.length }, (_, shard) => shard),
					),
				},
			],
		};
		const second = await region.place(id, [...without, live]);
		const secondTook = (await took(second.rev)) - second.at;
		await wait(2 * SECOND, undefined, { signal });
		await note("another placement, while a viewer plays");
		const firstBytes = await player.end();

		const again = await playerOf(socket, real);
		again.begin(200);
		const memory = new MemoryWatch([running.pid], SECOND / 4);
		tell(members, { do: "load" });
		await wait(figure("load") * SECOND, undefined, { signal });
		tell(members, { do: "rest" });
		const rested = await members.said("rested", signal);
		const got = Number(rested["got"]);
		const failed = rested["failed"] as Record<string, number>;
		memory.close();
		await note("under load");
		const underLoad = await again.end();
		const peak = memory.peak(running.pid).pss;
		await wait(10 * SECOND, undefined, { signal });
		await watch.begin();
		const began = monotonic();
		const fills = region.fills.length;
		await wait(figure("idle") * SECOND, undefined, { signal });
		await note("idle again");
		const heard = region.fills.slice(fills).length;
		const idle = { span: monotonic() - began, reports: heard };
		const { swarm } = await watch.status();
		const report2 = {
			placement: {
				bytes: told.bytes,
				took: firstTook,
				again: secondTook,
			},
			player: { opened, during: firstBytes, underLoad },
			load: { got, failed, peak, span: figure("load") * SECOND },
			idle,
			fillReport: region.fills.at(-1)?.bytes ?? 0,
			neighbours: swarm.neighbours.length,
		};
		await running.stop();
		running = undefined;
		say("starting it with all of them placed");
		const known = await timeStarts(box);
		say("comparing books and folder");
		const stock = await takeStock(shards);
		return {
			...report,
			starts: { ...starts, known },
			spans,
			...report2,
			stock,
		};
	} finally {
		await members?.close();
		await running?.stop();
		await region.close();
	}
}

const tell = (child: Child, order: MembersOrder) => child.tell(order);

/** All of them are neighbours of the box when this resolves. */
async function join64(
	region: Region,
	dir: string,
	box: MembersSettings["box"],
	real: Real,
): Promise<Child> {
	const folder = join(dir, "members");
	await mkdir(folder);
	const manifest = join(folder, "manifest");
	const shard = join(folder, "shard");
	await writeFile(manifest, real.manifest);
	await writeFile(shard, Buffer.concat([real.blocks, real.leaves]));
	const settings: MembersSettings = {
		...{ operator: region.operator.dir, dir: folder, count: figure("peers") },
		...{ box, title: real.id, shards: REAL.length, held: REAL.held },
		...{ manifest, shard },
	};
	const child = new Child("members", process.execPath, [
		MEMBERS,
		JSON.stringify(settings),
	]);
	tell(child, { do: "meet" });
	const { met } = await child.said("met", stop.signal);
	say(`${met} of ${figure("peers")} neighbours met`);
	return child;
}

async function playerOf(socket: string, real: Real): Promise<Player> {
	const answer = await callIpc(socket, "player-token", 5 * SECOND);
	const read = parseValue(playerToken, answer);
	if (!read.ok) throw new Error(read.detail);
	const url = new URL(`/titles/${real.id}/${real.path}`, read.value.base);
	return new Player(url, REAL.held * SHARD);
}

async function main(): Promise<void> {
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => stop.abort(new Error("interrupted")));
	const parent = resolve(options.dir);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	say("building the bundle");
	await run(process.execPath, [
		join(ROOT, "build.mjs"),
		"--quiet",
		"--target",
		TARGET,
	]);
	const dir = await mkdtemp(join(parent, "scale-"));
	const sockets = await mkdtemp(join(tmpdir(), "larder-"));
	try {
		const report = await measure(dir, sockets);
		if (options.json) console.log(JSON.stringify(report, undefined, 2));
		else show(report);
	} finally {
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
