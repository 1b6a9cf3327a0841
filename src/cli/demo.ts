import { mkdir, mkdtemp, readFile, rm, statfs } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { describe, LarderError } from "../base/errors.ts";
import { type Bytes, formatBytes, GiB, MiB } from "../base/units.ts";
import { readManifest } from "../content/manifest.ts";
import type { Neighbourhood } from "../desk/neighbourhood.ts";
import { look } from "../desk/play.ts";
import type { Package } from "../headend/package/inspect.ts";
import { publish } from "../headend/publish/publish.ts";
import { short } from "../wire/ids.ts";
import { MAX_RANK } from "../wire/placement.ts";
import { whole } from "./argument.ts";
import { print } from "./output.ts";
import { Narration, ProgressBar } from "./progress.ts";
import { count, fill, play, stay, type Title } from "./scenes.ts";

const CLIP = join(import.meta.dirname, "..", "..", "test", "media", "clip");
/** Small shards, so that a clip of a few megabytes is striped over every box. */
const SMALL = { blockSize: 16 * 1024, shardBlocks: 16 };
const LARGE: Bytes = 64 * MiB;
/** A few at a time: starting is the heaviest thing that boxes do. */
const AT_ONCE = 3;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

interface DemoOptions {
	readonly boxes: number;
	readonly source: string;
	readonly copies: number;
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
		.option("--boxes <n>", "boxes that hold titles", whole(1, 200), 6)
		.addOption(
			new Option("--source <path>", "a package's folder or an MP4 of your own")
				// Where this machine keeps the clip is of no interest.
				.default(CLIP, "a clip of 24 seconds"),
		)
		.option("--copies <n>", "copies of each shard", whole(1, MAX_RANK), 3)
		.option("--broker <url>", "an MQTT broker that runs already")
		.option("--keep <folder>", "leave everything that was written there")
		.option(
			"--exit",
			"play the whole title through one more box, compare every byte, end with one line of JSON",
		)
		.option("--stop-origin", "stop the origin once the boxes are filled")
		.action(async (options: DemoOptions) => {
			process.exitCode = await demo(options);
		});
}

/** Runs the demo, and ends every process and removes what was written however it went. Gives the exit code. */
async function demo(options: DemoOptions): Promise<number> {
	const stop = new AbortController();
	let code = 1;
	const interrupt = (signal: NodeJS.Signals) => {
		code = 128 + constants.signals[signal];
		stop.abort(new DOMException(signal, "AbortError"));
	};
	for (const signal of SIGNALS) process.on(signal, interrupt);
	// The terminal may go away first; what was begun is ended all the same.
	for (const stream of [process.stdout, process.stderr])
		stream.on("error", () => stop.abort(new DOMException("", "AbortError")));
	try {
		return await perform(options, stop.signal);
	} catch (error) {
		if (stop.signal.aborted) return code;
		if (options.exit)
			print(JSON.stringify({ ok: false, error: describe(error) }));
		throw error;
	} finally {
		for (const signal of SIGNALS) process.off(signal, interrupt);
	}
}

async function perform(
	options: DemoOptions,
	interrupted: AbortSignal,
): Promise<number> {
	const source = resolve(options.source);
	const pack = await look(source, interrupted);
	const { dir, remove } = await workplace(options.keep);
	const story = new Narration();
	let neighbourhood: Neighbourhood | undefined;
	try {
		await checkRoom(dir, pack.size, options.copies);
		story.say("starting broker, DHT nodes, origin and headend");
		const desk = await import("../desk/neighbourhood.ts");
		neighbourhood = await desk.Neighbourhood.start(
			{
				dir,
				copies: options.copies,
				quota: `${Math.ceil(4 + (2 * pack.size) / GiB)} GiB`,
				...(options.broker !== undefined && { broker: options.broker }),
			},
			interrupted,
		);
		story.say("the services are up");
		const signal = AbortSignal.any([interrupted, neighbourhood.broken]);
		return await tell(options, neighbourhood, pack, source, story, signal);
	} catch (error) {
		// Rather than what came of it: a process that ended unasked.
		if (neighbourhood?.broken.aborted) throw neighbourhood.broken.reason;
		throw error;
	} finally {
		if (neighbourhood !== undefined) story.say("ending every process");
		await neighbourhood?.close();
		await remove();
	}
}

/** The story itself. */
async function tell(
	options: DemoOptions,
	neighbourhood: Neighbourhood,
	pack: Package,
	source: string,
	story: Narration,
	signal: AbortSignal,
): Promise<number> {
	const { boxes, copies } = options;
	await startBoxes(neighbourhood, boxes);
	story.say(boxes === 1 ? "a box is up" : `${boxes} boxes are up`);
	const title = await publishTitle(neighbourhood, pack, source, signal);
	story.say(
		`published "${title.name}": ${formatBytes(title.size)} in ${title.shards} shards, title ${short(title.id)}`,
	);
	const wanted = title.shards * Math.min(copies, boxes);
	await fill(neighbourhood, wanted, signal);
	const filled = await count(neighbourhood);
	story.say(
		`filled: ${wanted} copies of shards are on disk and verified; ${formatBytes(filled.fromOrigin)} came from the origin`,
	);
	if (options.stopOrigin) {
		await neighbourhood.origin?.stop();
		story.say("the origin is stopped");
	}
	story.say("one more box joins; nothing is placed on it");
	const viewer = await neighbourhood.addBox({
		serial: "viewer",
		streamingShare: 1,
	});
	await neighbourhood.listed(viewer, title.id, signal);
	if (!options.exit) {
		await stay(neighbourhood, viewer, title, signal);
		return 0;
	}
	const bar = new ProgressBar();
	const played = await play(neighbourhood, viewer, title, source, bar, signal);
	const { placedBytes, heldBytes } = filled;
	const ok =
		played.mismatches === 0 &&
		played.bytes === title.size &&
		placedBytes > 0 &&
		heldBytes === placedBytes &&
		(!options.stopOrigin || played.fromOrigin === 0);
	print(
		JSON.stringify({
			ok,
			boxes,
			titles: 1,
			shards: title.shards,
			placedBytes,
			heldBytes,
			played,
			originBytesDuringFill: filled.fromOrigin,
			fillReports: neighbourhood.observer.heard,
			seconds: story.seconds,
		}),
	);
	return ok ? 0 : 1;
}

/** Where everything is written: a temporary folder that is removed in the end, or the one to keep. */
async function workplace(
	keep: string | undefined,
): Promise<{ dir: string; remove: () => Promise<void> }> {
	if (keep === undefined) {
		const dir = await mkdtemp(join(tmpdir(), "larder-demo-"));
		const options = { recursive: true, force: true, maxRetries: 3 };
		return { dir, remove: () => rm(dir, options) };
	}
	const dir = resolve(keep);
	await mkdir(dir, { recursive: true });
	return {
		dir,
		remove: async () => {
			process.stderr.write(`everything is in ${dir}\n`);
		},
	};
}

/** The origin's and every box's copies all lie on this one disk. */
async function checkRoom(
	dir: string,
	size: Bytes,
	copies: number,
): Promise<void> {
	const needed = size * (copies + 2) + 256 * MiB;
	const { bavail, bsize } = await statfs(dir);
	if (bavail * bsize >= needed) return;
	throw new LarderError(
		"STORE_FULL",
		`the demo needs ${formatBytes(needed)} in ${dir}, and ${formatBytes(bavail * bsize)} are free; --keep names another folder`,
	);
}

async function startBoxes(
	neighbourhood: Neighbourhood,
	boxes: number,
): Promise<void> {
	const bar = new ProgressBar();
	let running = 0;
	const start = async () => {
		await neighbourhood.addBox();
		bar.count("starting boxes", ++running, boxes);
	};
	bar.count("starting boxes", 0, boxes);
	try {
		for (let left = boxes; left > 0; left -= AT_ONCE) {
			const batch = Array.from({ length: Math.min(AT_ONCE, left) }, start);
			// All of them, so that none is being made when one has failed and everything is removed.
			const failed = (await Promise.allSettled(batch)).find(
				({ status }) => status === "rejected",
			);
			if (failed?.status === "rejected") throw failed.reason;
		}
	} finally {
		bar.clear();
	}
}

async function publishTitle(
	neighbourhood: Neighbourhood,
	{ size }: Package,
	source: string,
	signal: AbortSignal,
): Promise<Title> {
	const bar = new ProgressBar();
	const operatorDir = neighbourhood.operator.dir;
	try {
		const { title, warnings } = await publish(
			{
				operatorDir,
				source,
				kind: "title",
				...(size < LARGE && SMALL),
				onProgress: ({ phase, bytesDone, bytesTotal }) =>
					bar.show(phase, bytesDone, bytesTotal),
			},
			signal,
		);
		bar.clear();
		for (const { file, what, remedy } of warnings)
			process.stderr.write(`warning: ${file}: ${what}. ${remedy}\n`);
		const path = join(operatorDir, "origin", title.id, "manifest");
		const manifest = readManifest(title.id, await readFile(path));
		if (!manifest.ok)
			throw new LarderError("MANIFEST_INVALID", manifest.detail);
		return { ...title, shards: manifest.value.shards.length };
	} finally {
		bar.clear();
	}
}
