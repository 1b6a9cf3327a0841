import { spawn } from "node:child_process";
import { once } from "node:events";
import {
	mkdtemp,
	readdir,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Test } from "tap";
import { monotonic, SECOND } from "../../src/base/time.ts";
import type { Bytes, Millis } from "../../src/base/units.ts";
import { shardBytes, shardCount } from "../../src/content/geometry.ts";
import { type Manifest, readManifest } from "../../src/content/manifest.ts";
import {
	type DeskBox,
	Neighbourhood,
	type NeighbourhoodOptions,
} from "../../src/desk/neighbourhood.ts";
import { type Played, playAll } from "../../src/desk/play.ts";
import type { DeskProcess } from "../../src/desk/process.ts";
import { publish } from "../../src/headend/publish/publish.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { seeded } from "../fixture.ts";
import { boxes as mp4 } from "../headend/packages.ts";

/** Small, so that a film of a few megabytes is striped over many boxes. */
export const BLOCK = 16 * 1024;
export const SHARD_BLOCKS = 16;
/** A test that waits for longer than this waits for something that will not happen. */
export const PATIENCE = 90 * SECOND;

/** A published title with what it was made of. */
export interface Film {
	readonly id: TitleId;
	readonly source: string;
	readonly manifest: Manifest;
	readonly shards: number;
}

/** A temporary folder short enough for sockets to lie in; gone after the test. */
export async function temporary(t: Test): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "larder-system-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

/** A neighbourhood of real processes that end with the test, whatever becomes of it. */
export async function openDesk(
	t: Test,
	options: Omit<NeighbourhoodOptions, "dir"> & { readonly dir?: string },
): Promise<Neighbourhood> {
	const dir = options.dir ?? join(await temporary(t), "desk");
	const desk = await Neighbourhood.start({ ...options, dir });
	t.teardown(() => desk.close());
	return desk;
}

/** Starts boxes a few at a time: starting is the heaviest thing that they do. */
export async function addBoxes(
	desk: Neighbourhood,
	count: number,
	settings: Parameters<Neighbourhood["addBox"]>[0] = {},
): Promise<DeskBox[]> {
	const boxes: DeskBox[] = [];
	while (boxes.length < count) {
		const batch = Math.min(4, count - boxes.length);
		const adding = Array.from({ length: batch }, () => desk.addBox(settings));
		boxes.push(...(await Promise.all(adding)));
	}
	return boxes;
}

/** Starts a box that nothing is placed on and waits until it lists the film. */
export async function addViewer(
	desk: Neighbourhood,
	film: Film,
	settings: Parameters<Neighbourhood["addBox"]>[0] = {},
): Promise<DeskBox> {
	const viewer = await desk.addBox({ streamingShare: 1, ...settings });
	await desk.listed(viewer, film.id, AbortSignal.timeout(PATIENCE));
	return viewer;
}

/** Writes an MP4 of about `size` bytes that is the same in every run. */
export async function writeFilm(
	path: string,
	size: Bytes,
	seed: string,
): Promise<void> {
	await writeMovie(path, seeded(seed, size));
}

/** Writes an MP4 of these media. */
export async function writeMovie(path: string, media: Buffer): Promise<void> {
	const parts = [mp4.movie({ duration: 60 }), mp4.box("mdat", media)];
	await writeFile(path, Buffer.concat(parts));
}

/** Publishes a film of about `size` bytes in small shards. */
export async function publishFilm(
	desk: Neighbourhood,
	size: Bytes,
	name = "film",
): Promise<Film> {
	const source = join(desk.dir, `${name}.mp4`);
	await writeFilm(source, size, name);
	return await publishSource(desk, source);
}

/** @param cut how it is cut: small unless given */
export async function publishSource(
	desk: Neighbourhood,
	source: string,
	cut: Pick<Manifest, "blockSize" | "shardBlocks"> = {
		...{ blockSize: BLOCK, shardBlocks: SHARD_BLOCKS },
	},
): Promise<Film> {
	const { title } = await publish(
		{
			operatorDir: desk.operator.dir,
			source,
			kind: "title",
			...cut,
		},
		AbortSignal.timeout(PATIENCE),
	);
	const path = join(desk.operator.dir, "origin", title.id, "manifest");
	const read = readManifest(title.id, await readFile(path));
	if (!read.ok) throw new Error(read.detail);
	const manifest = read.value;
	return { id: title.id, source, manifest, shards: shardCount(manifest) };
}

/** Resolves when this many copies of shards are placed, and all that are placed are held. */
export async function filled(desk: Neighbourhood, shards: number) {
	await desk.filled(shards, AbortSignal.timeout(PATIENCE));
}

/** Plays a film to its end through a box and compares every byte; `longestWaitMs` is the longest that its player waited. */
export async function play(
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
	onProgress: (done: Bytes) => void = () => undefined,
): Promise<Pick<Played, "bytes" | "mismatches"> & { longestWaitMs: Millis }> {
	const gateway = desk.gatewayOf(box);
	let longest = 0;
	let last = monotonic();
	const { bytes, mismatches } = await playAll(
		gateway,
		film.id,
		film.source,
		(done) => {
			longest = Math.max(longest, monotonic() - last);
			last = monotonic();
			onProgress(done);
		},
	);
	return { bytes, mismatches, longestWaitMs: Math.round(longest) };
}

export async function counters(desk: Neighbourhood, box: DeskBox) {
	return (await desk.statusOf(box)).counters;
}

/** Looks until `check` gives something; for what no event tells of. */
export async function poll<T>(
	what: string,
	check: () => Promise<T | undefined | false>,
): Promise<T> {
	const end = Date.now() + PATIENCE;
	while (Date.now() < end) {
		const found = await check();
		if (found !== undefined && found !== false) return found;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	throw new Error(`waited in vain: ${what}`);
}

/** The log entries of a process, oldest first. What is not JSON (a crash's own words) is under `msg`. */
export async function logOf(
	process: Pick<DeskProcess, "logFile">,
): Promise<Record<string, unknown>[]> {
	const lines = (await readFile(process.logFile, "utf8")).split("\n");
	return lines
		.filter((line) => line !== "")
		.map((line) => {
			try {
				return JSON.parse(line);
			} catch {
				return { msg: line };
			}
		});
}

/** Stops the origin; gives the bytes that it sent, as it counted them. */
export async function stopOrigin(desk: Neighbourhood): Promise<Bytes> {
	const { origin } = desk;
	if (origin === undefined) throw new Error("this desk has no origin");
	await origin.stop();
	const closed = (await logOf(origin)).findLast(({ msg }) => msg === "closed");
	return Number(closed?.["bytesSent"]);
}

/** Shards that a box holds of a film, with the inode of each file: another inode means that it was fetched again. */
export async function heldOf(
	box: DeskBox,
	film: Film,
): Promise<Map<number, number>> {
	const folder = join(box.dir, "data", "shards", film.id);
	const names = await readdir(folder).catch(() => []);
	const held = names.filter((name) => /^\d+$/.test(name));
	const entries = held.map(async (name): Promise<[number, number]> => {
		const { ino } = await stat(join(folder, name));
		return [Number(name), ino];
	});
	return new Map(await Promise.all(entries));
}

/** What a box that does not run lacks of a film. */
export interface Lack {
	/** Bytes of blocks that are not on its disk, and of the leaves of shards not begun. */
	readonly bytes: Bytes;
	/** Shards begun and not held. */
	readonly partial: number;
}

/** Compares a box's folder with the origin, block by block. Throws when a held shard is not what was published. */
export async function lackOf(
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
): Promise<Lack> {
	const folder = join(box.dir, "data", "shards", film.id);
	const names = new Set(await readdir(folder).catch(() => []));
	let bytes = 0;
	let partial = 0;
	for (let shard = 0; shard < film.shards; shard++) {
		const origin = join(desk.operator.dir, "origin", film.id, `${shard}`);
		const whole = await readFile(origin);
		if (names.has(`${shard}`)) {
			if (!whole.equals(await readFile(join(folder, `${shard}`))))
				throw new Error(`held shard ${shard} of ${box.name} is damaged`);
		} else if (names.has(`${shard}.part`)) {
			partial++;
			const part = await readFile(join(folder, `${shard}.part`));
			const end = shardBytes(film.manifest, shard);
			for (let at = 0; at < end; at += BLOCK) {
				const to = Math.min(end, at + BLOCK);
				if (!whole.subarray(at, to).equals(part.subarray(at, to)))
					bytes += to - at;
			}
		} else bytes += whole.length;
	}
	return { bytes, partial };
}

/** Every command, from source. */
export const MAIN = join(
	import.meta.dirname,
	"..",
	"..",
	"src",
	"cli",
	"main.ts",
);

/** Runs the command line to its end, which a service that starts well does not come to. */
export async function larder(
	...args: readonly string[]
): Promise<{ readonly code: number | null; readonly said: string }> {
	const child = spawn(process.execPath, [MAIN, ...args], {
		stdio: ["ignore", "pipe", "pipe"],
		timeout: 20 * SECOND,
		killSignal: "SIGKILL",
	});
	const [out, error, [code]] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
		once(child, "exit"),
	]);
	return { code, said: `${out}${error}` };
}
