import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { monotonic, SECOND } from "../base/time.ts";
import { formatBytes } from "../base/units.ts";
import { shardCount } from "../content/geometry.ts";
import { type DeskBox, Neighbourhood } from "../desk/neighbourhood.ts";
import { playAll } from "../desk/play.ts";
import { publish } from "../headend/publish/publish.ts";
import { readGeometry } from "../headend/publish/shelf.ts";
import type { TitleRecord } from "../headend/publish/titles.ts";
import { short } from "../wire/ids.ts";
import { LiveTable } from "./live.ts";
import { print } from "./output.ts";
import { ProgressBar } from "./progress.ts";

const CLIP = join(import.meta.dirname, "..", "..", "test", "media", "clip");
/** Small shards, so that a clip of a few megabytes is striped over every box. */
const SMALL = { blockSize: 16 * 1024, shardBlocks: 16 };
const LARGE_ENOUGH = 64e6;
const FILL_LIMIT = 600 * SECOND;

interface DemoOptions {
	readonly boxes: string;
	readonly source: string;
	readonly copies: string;
	readonly broker?: string;
	readonly keep?: string;
	readonly exit?: true;
	readonly stopOrigin?: true;
}

export function addDemoCommand(program: Command): void {
	program
		.command("demo")
		.description(
			"run a whole neighbourhood on this machine: publish, fill, play",
		)
		.option("--boxes <n>", "boxes that hold titles", "6")
		.option("--source <path>", "a package's folder or an MP4 of your own", CLIP)
		.option("--copies <n>", "copies of each shard", "3")
		.option("--broker <url>", "an MQTT broker that runs already")
		.option("--keep <folder>", "leave everything that was written there")
		.option(
			"--exit",
			"play the whole title through one more box, compare every byte, and end",
		)
		.option("--stop-origin", "stop the origin once the boxes are filled")
		.action(async (options: DemoOptions) => {
			process.exitCode = await demo(options);
		});
}

async function demo(options: DemoOptions): Promise<number> {
	const started = monotonic();
	const count = positive(options.boxes, "--boxes");
	const copies = positive(options.copies, "--copies");
	const source = resolve(options.source);
	const dir = options.keep
		? resolve(options.keep)
		: await mkdtemp(join(tmpdir(), "larder-demo-"));
	const stop = new AbortController();
	const interrupt = () => stop.abort(new Error("interrupted"));
	process.once("SIGINT", interrupt);
	process.once("SIGTERM", interrupt);
	let neighbourhood: Neighbourhood | undefined;
	try {
		say("starting broker, DHT nodes, origin and headend");
		neighbourhood = await Neighbourhood.start({
			dir,
			copies,
			...(options.broker !== undefined && { broker: options.broker }),
		});
		const title = await publishSource(neighbourhood, source, stop.signal);
		say(`starting ${count} boxes`);
		await startBoxes(neighbourhood, count, stop.signal);
		const geometry = await readGeometry(neighbourhood.operator.dir, title.id);
		const shards = shardCount(geometry) * Math.min(copies, count);
		await fill(neighbourhood, shards, stop.signal);
		const filled = await figures(neighbourhood);
		if (options.stopOrigin) {
			await neighbourhood.origin?.stop();
			say("the origin is stopped");
		}
		say("one more box joins; nothing is placed on it");
		const viewer = await neighbourhood.addBox();
		if (!options.exit) {
			await stay(neighbourhood, viewer, title, stop.signal);
			return 0;
		}
		const bar = new ProgressBar();
		const played = await play(
			neighbourhood,
			viewer,
			title,
			source,
			(done, total) => bar.show("playing", done, total),
		);
		bar.clear();
		const { counters } = await neighbourhood.statusOf(viewer);
		const ok =
			played.mismatches === 0 &&
			played.bytes === title.size &&
			filled.heldBytes === filled.placedBytes &&
			(!options.stopOrigin || counters.playedFromOrigin === 0);
		print(
			JSON.stringify({
				ok,
				boxes: count,
				titles: 1,
				shards: shardCount(geometry),
				placedBytes: filled.placedBytes,
				heldBytes: filled.heldBytes,
				played: {
					bytes: played.bytes,
					fromDisk: counters.playedFromDisk,
					fromNeighbours: counters.playedFromNeighbours,
					fromOrigin: counters.playedFromOrigin,
					firstByteMs: played.firstByteMs,
					mismatches: played.mismatches,
				},
				originBytesDuringFill: filled.fromOrigin,
				fillReports: neighbourhood.observer.heard,
				seconds: Math.round((monotonic() - started) / 100) / 10,
			}),
		);
		return ok ? 0 : 1;
	} catch (error) {
		if (stop.signal.aborted) return 130;
		throw error;
	} finally {
		process.off("SIGINT", interrupt);
		process.off("SIGTERM", interrupt);
		say("ending every process");
		await neighbourhood?.close();
		if (options.keep === undefined)
			await rm(dir, { recursive: true, force: true });
		else say(`everything is in ${dir}`);
	}
}

async function publishSource(
	neighbourhood: Neighbourhood,
	source: string,
	signal: AbortSignal,
): Promise<TitleRecord> {
	const bar = new ProgressBar();
	const cut = (await sizeOf(source)) < LARGE_ENOUGH ? SMALL : {};
	try {
		const { title, warnings } = await publish(
			{
				operatorDir: neighbourhood.operator.dir,
				source,
				kind: "title",
				...cut,
				onProgress: ({ phase, bytesDone, bytesTotal }) =>
					bar.show(phase, bytesDone, bytesTotal),
			},
			signal,
		);
		bar.clear();
		for (const { file, what, remedy } of warnings)
			say(`warning: ${file}: ${what}. ${remedy}`);
		say(
			`published "${title.name}", ${formatBytes(title.size)}, title ${short(title.id)}`,
		);
		return title;
	} finally {
		bar.clear();
	}
}

/** A few at a time: starting is the heaviest thing that they do. */
async function startBoxes(
	neighbourhood: Neighbourhood,
	count: number,
	signal: AbortSignal,
): Promise<void> {
	for (let started = 0; started < count; started += 3) {
		signal.throwIfAborted();
		const batch = Math.min(3, count - started);
		await Promise.all(
			Array.from({ length: batch }, () => neighbourhood.addBox()),
		);
	}
}

async function fill(
	neighbourhood: Neighbourhood,
	shards: number,
	signal: AbortSignal,
): Promise<void> {
	const table = new LiveTable(neighbourhood);
	const limit = AbortSignal.timeout(FILL_LIMIT);
	const end = neighbourhood.observer.onChange(() => table.draw());
	try {
		await neighbourhood.filled(shards, AbortSignal.any([signal, limit]));
	} catch (cause) {
		if (!limit.aborted) throw cause;
		throw new LarderError(
			"COMMAND_FAILED",
			"the boxes were not filled in time",
			{ cause },
		);
	} finally {
		end();
		table.end();
	}
	const { held } = neighbourhood.levels();
	say(`filled: ${held} copies of shards are held, verified, on disk`);
}

/** Bytes where they were counted: at the boxes. */
async function figures(neighbourhood: Neighbourhood) {
	const sum = { placedBytes: 0, heldBytes: 0, fromOrigin: 0 };
	for (const box of neighbourhood.boxes) {
		const { store, counters } = await neighbourhood.statusOf(box);
		sum.placedBytes += store.placedBytes;
		sum.heldBytes += store.heldBytes;
		sum.fromOrigin += counters.fromOrigin;
	}
	return sum;
}

async function play(
	neighbourhood: Neighbourhood,
	viewer: DeskBox,
	title: TitleRecord,
	source: string,
	onProgress: (done: number, total: number) => void,
) {
	const originDir = join(neighbourhood.operator.dir, "origin");
	const gateway = neighbourhood.gatewayOf(viewer);
	return await playAll(gateway, originDir, title.id, source, onProgress);
}

async function stay(
	neighbourhood: Neighbourhood,
	viewer: DeskBox,
	title: TitleRecord,
	signal: AbortSignal,
): Promise<void> {
	print("");
	print(`  operator's page   ${await neighbourhood.pageUrl}`);
	print(`  player page       ${neighbourhood.gatewayOf(viewer)}/`);
	print(`  drop titles into  ${join(neighbourhood.operator.dir, "ingest")}`);
	print(
		`  a box's status    npm run -s larder -- status -c ${join(viewer.dir, "larder.toml")}`,
	);
	print(
		`  this title        ${neighbourhood.gatewayOf(viewer)}/titles/${title.id}/`,
	);
	print("");
	print("Ctrl-C ends everything.");
	const table = new LiveTable(neighbourhood);
	const timer = setInterval(() => table.draw(), SECOND);
	await new Promise<void>((done) =>
		signal.addEventListener("abort", () => done()),
	);
	clearInterval(timer);
	table.end();
}

async function sizeOf(source: string): Promise<number> {
	const info = await stat(source).catch((cause: unknown) => {
		throw new LarderError("PACKAGE_INVALID", `${source} cannot be read`, {
			cause,
		});
	});
	// A folder of media in small pieces is cut small; size decides only for single files.
	return info.isDirectory() ? 0 : info.size;
}

function positive(text: string, option: string): number {
	const value = Number(text);
	if (Number.isInteger(value) && value > 0) return value;
	throw new LarderError(
		"CONFIG_INVALID",
		`${option} takes a number of at least 1, not ${text}`,
	);
}

function say(line: string): void {
	process.stderr.write(`${line}\n`);
}
