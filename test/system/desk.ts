import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { SECOND } from "../../src/base/time.ts";
import type { Bytes } from "../../src/base/units.ts";
import { shardCount } from "../../src/content/geometry.ts";
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

/** Writes an MP4 of about `size` bytes that is the same in every run. */
export async function writeFilm(
	path: string,
	size: Bytes,
	seed: string,
): Promise<void> {
	const media = mp4.box("mdat", seeded(seed, size));
	await writeFile(path, Buffer.concat([mp4.movie({ duration: 60 }), media]));
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

export async function publishSource(
	desk: Neighbourhood,
	source: string,
): Promise<Film> {
	const { title } = await publish(
		{
			operatorDir: desk.operator.dir,
			source,
			kind: "title",
			blockSize: BLOCK,
			shardBlocks: SHARD_BLOCKS,
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

/** Plays a film to its end through a box and compares every byte. */
export async function play(
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
	onProgress?: (done: Bytes) => void,
): Promise<Played> {
	const origin = join(desk.operator.dir, "origin");
	const gateway = desk.gatewayOf(box);
	return await playAll(gateway, origin, film.id, film.source, onProgress);
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
