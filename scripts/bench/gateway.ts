// A box's gateway gives segments that the box holds, decrypting them, to 64 connections; nginx with sendfile gives the same files.
import { randomFillSync } from "node:crypto";
import {
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describe } from "../../src/base/errors.ts";
import { table } from "../../src/cli/output.ts";
import { shardCount } from "../../src/content/geometry.ts";
import { readManifest } from "../../src/content/manifest.ts";
import { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import { freeTcpPort } from "../../src/desk/ports.ts";
import { publish } from "../../src/headend/publish/publish.ts";
import { run } from "../run.ts";
import { FIGURES, type Figure, load, type Server } from "./gateway/load.ts";
import {
	type Figures,
	medians,
	spread,
	threeFigures,
} from "./measure/figures.ts";
import { machineFacts, mustBeOnDisk } from "./measure/machine.ts";
import { startNginx } from "./measure/nginx.ts";
import { type Profile, selfTimes } from "./measure/profile.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const WORK = join(ROOT, "dist", "bench");
const PROFILES = join(WORK, "profiles");
const SEGMENT = 2e6;
const TOP = 15;
const USAGE = `npm run bench -- gateway [options]
  --runs N         loads of each, in turns (5)
  --seconds N      how long each lasts (10)
  --connections N  at once (64)
  --segments N     of 2 MB each (64)
  --profile        runs the agent under V8's profiler as well: where its time goes
  --json           print JSON instead of a table
  --dir FOLDER     where the data lies while it runs: on a disk (dist/bench)`;

const { values: options } = parseArgs({
	options: {
		runs: { type: "string", default: "5" },
		seconds: { type: "string", default: "10" },
		connections: { type: "string", default: "64" },
		segments: { type: "string", default: "64" },
		profile: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		dir: { type: "string", default: WORK },
		help: { type: "boolean", default: false },
	},
});

const say = (line: string) => process.stderr.write(`${line}\n`);
const nameOf = (segment: number) => `${String(segment).padStart(3, "0")}.m4s`;

async function makeSegments(folder: string): Promise<string[]> {
	await mkdir(folder);
	const names = Array.from({ length: whole("segments") }, (_, i) => nameOf(i));
	const bytes = Buffer.alloc(SEGMENT);
	for (const name of names)
		await writeFile(join(folder, name), randomFillSync(bytes));
	const entries = names.flatMap((name) => ["#EXTINF:4,", name]);
	const lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", ...entries];
	await writeFile(
		join(folder, "master.m3u8"),
		[...lines, "#EXT-X-ENDLIST", ""].join("\n"),
	);
	return names;
}

interface Box extends Server {
	readonly close: () => Promise<void>;
}

/** One box that holds all of the title. @param profiles where its profile is to lie once it has ended */
async function openBox(
	dir: string,
	source: string,
	names: readonly string[],
	signal: AbortSignal,
	profiles?: string,
): Promise<Box> {
	const desk = await Neighbourhood.start({ dir, copies: 1 }, signal);
	try {
		const profiler = `--cpu-prof --cpu-prof-dir=${profiles}`;
		const within = profiles && ["env", `NODE_OPTIONS=${profiler}`];
		const box = await desk.addBox({}, within || undefined);
		const operatorDir = desk.operator.dir;
		const order = { operatorDir, source, kind: "title" } as const;
		const { title } = await publish(order, signal);
		const at = join(operatorDir, "origin", title.id, "manifest");
		const manifest = readManifest(title.id, await readFile(at));
		if (!manifest.ok) throw new Error(manifest.detail);
		await desk.filled(shardCount(manifest.value), signal);
		return {
			pid: box.process?.pid ?? 0,
			origin: desk.gatewayOf(box),
			paths: names.map((name) => `/titles/${title.id}/${name}`),
			close: () => desk.close(),
		};
	} catch (error) {
		await desk.close();
		throw error;
	}
}

/** Throws when a server gives other bytes than those of the file. */
async function mustGive(
	{ origin, paths }: Server,
	source: string,
	names: readonly string[],
) {
	for (const [i, path] of paths.entries()) {
		const answer = await fetch(`${origin}${path}`);
		const got = Buffer.from(await answer.arrayBuffer());
		if (!got.equals(await readFile(join(source, names[i] ?? ""))))
			throw new Error(`${path}: not what was published`);
	}
}

async function measure(dir: string, signal: AbortSignal) {
	const source = join(dir, "segments");
	const names = await makeSegments(source);
	say("a box takes the title");
	const box = await openBox(join(dir, "desk"), source, names, signal);
	const listen = `127.0.0.1:${await freeTcpPort()}`;
	const nginx = await startNginx(join(dir, "nginx"), source, listen);
	const paths = names.map((name) => `/${name}`);
	const servers = {
		larder: box,
		nginx: { pid: nginx.pid, origin: `http://${listen}`, paths },
	};
	const runs = { larder: [], nginx: [] } as Record<
		keyof typeof servers,
		Figures<Figure>[]
	>;
	try {
		for (const server of Object.values(servers))
			await mustGive(server, source, names);
		for (let run = 1; run <= whole("runs"); run++)
			for (const name of ["larder", "nginx"] as const) {
				signal.throwIfAborted();
				const figures = await load(
					servers[name],
					whole("connections"),
					whole("seconds"),
				);
				runs[name].push(figures);
				say(`run ${run}: ${name}: ${threeFigures(figures.mbps)} MB/s`);
			}
	} finally {
		await nginx.close();
		await box.close();
	}
	if (options.profile) await profile(dir, source, names, signal);
	return runs;
}

async function profile(
	dir: string,
	source: string,
	names: readonly string[],
	signal: AbortSignal,
): Promise<void> {
	await rm(PROFILES, { recursive: true, force: true });
	const desk = join(dir, "profiled");
	const box = await openBox(desk, source, names, signal, PROFILES);
	try {
		await load(box, whole("connections"), whole("seconds"));
	} finally {
		await box.close();
	}
	for (const file of await readdir(PROFILES)) {
		const path = join(PROFILES, file);
		const read = JSON.parse(await readFile(path, "utf8")) as Profile;
		const rows = selfTimes(read)
			.slice(0, TOP)
			.map(({ name, self, share }) => [
				`${(share * 100).toFixed(1)} %`,
				threeFigures(self / 1000),
				name,
			]);
		console.log(`\nself time (${relative(process.cwd(), path)})`);
		const head = ["share", "s", "function"];
		console.log(table([head, ...rows], [0, 1]).join("\n"));
	}
}

function show(runs: Record<"larder" | "nginx", Figures<Figure>[]>): void {
	const base = medians(FIGURES, runs.nginx);
	const rows = Object.entries(runs).map(([name, all]) => {
		const own = medians(FIGURES, all);
		return [
			name,
			spread(all.map(({ mbps }) => mbps)),
			...FIGURES.slice(1).map((figure) => threeFigures(own[figure])),
			threeFigures(own.mbps / base.mbps),
		];
	});
	const head = [
		"",
		"MB/s",
		"median ms",
		"p99 ms",
		"CPU ms/MB",
		"PSS MB",
		"x MB/s",
	];
	const right = head.map((_, i) => i).slice(1);
	console.log(`\n${table([head, ...rows], right).join("\n")}`);
	console.log(`
${options.connections} connections ask for ${options.segments} segments of 2 MB in turns for ${options.seconds} s. Medians (least–most); MB is 10^6 bytes. p99: from request
to the last byte. All files are in the page cache, and one process of each serves. x: to nginx.`);
}

function whole(name: "runs" | "seconds" | "connections" | "segments"): number {
	const value = Number(options[name]);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} takes a whole number of at least 1`);
}

async function main(): Promise<void> {
	const stop = new AbortController();
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => stop.abort(new Error("interrupted")));
	const facts = machineFacts({ nginx: ["nginx", "-v"], wrk: ["wrk", "-v"] });
	const parent = resolve(options.dir);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	const dir = await mkdtemp(join(parent, "gateway-"));
	try {
		say("building the bundle");
		await run(process.execPath, [join(ROOT, "build.mjs"), "--quiet"]);
		const runs = await measure(dir, stop.signal);
		if (options.json) {
			console.log(
				JSON.stringify({ machine: facts, options, runs }, undefined, 2),
			);
			return;
		}
		for (const [name, fact] of Object.entries(facts))
			console.log(`${name}: ${fact}`);
		show(runs);
	} finally {
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
