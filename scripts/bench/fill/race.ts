import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { SECOND, sleep } from "../../../src/base/time.ts";
import { type Bytes, KiB, MiB, type Millis } from "../../../src/base/units.ts";
import { median } from "../measure/figures.ts";
import { clock, MemoryWatch } from "../measure/process.ts";
import type { Contestant, Stage } from "./contestant.ts";

/** The clock starts when the source has sent so much: what came before is no content. */
const BEGUN: Bytes = 64 * KiB;
const LOOK: Millis = 50;
const SAMPLE: Millis = SECOND;

/** What one race came to. */
export interface Outcome {
	/** When each box had all, in order of time, counted from the source's first bytes; those that were not in time are missing. */
	readonly done: readonly Millis[];
	/** Bytes that the source sent, headers included. */
	readonly source: Bytes;
	/** Bytes that the boxes sent until the last one had all. */
	readonly boxes: Bytes;
	/** Peak PSS of a box, in bytes: the median of them and the highest. */
	readonly pss: { readonly median: Bytes; readonly most: Bytes };
	/** What all had sent, each second: the source first. */
	readonly course: readonly {
		readonly at: Millis;
		readonly sent: readonly Bytes[];
	}[];
}

/**
 * Runs one race to its end, or to `limit`. Throws when what a box has is not what the source has.
 * @param limit milliseconds after the source's first bytes
 */
export async function race(
	contestant: Contestant,
	stage: Stage,
	limit: Millis,
	signal: AbortSignal,
): Promise<Outcome> {
	const { network } = stage;
	const entry = await contestant.open(stage, signal);
	let memory: MemoryWatch | undefined;
	try {
		const before = network.sent();
		const moved = () => network.sent().map((now, i) => now - (before[i] ?? 0));
		await entry.start(signal);
		while ((moved()[0] ?? 0) < BEGUN) await sleep(LOOK / 5, signal);
		const began = clock();
		memory = new MemoryWatch(entry.pids(), SECOND);
		const done = new Map<number, Millis>();
		const course: { at: Millis; sent: Bytes[] }[] = [];
		while (done.size < network.boxes.length) {
			const at = clock() - began;
			if (at > limit) break;
			for (const box of network.boxes.keys())
				if (!done.has(box) && entry.has(box)) done.set(box, at);
			if (at >= course.length * SAMPLE) course.push({ at, sent: moved() });
			await sleep(LOOK, signal);
		}
		const [source = Number.NaN, ...boxes] = moved();
		const peaks = entry.pids().map((pid) => memory?.peak(pid).pss ?? NaN);
		for (const box of done.keys()) {
			const { got, wanted } = entry.files(box);
			if ((await digest(got)) === (await digest(wanted))) continue;
			throw new Error(`${contestant.name}: box ${box + 1} has something else`);
		}
		return {
			done: [...done.values()],
			source,
			boxes: boxes.reduce((sum, sent) => sum + sent, 0),
			pss: { median: median(peaks), most: Math.max(...peaks) },
			course,
		};
	} finally {
		memory?.close();
		await entry.close();
	}
}

async function digest(files: readonly string[]): Promise<string> {
	const hash = createHash("sha256");
	for (const file of files) {
		const parts = createReadStream(file, { highWaterMark: MiB });
		for await (const part of parts) hash.update(part);
	}
	return hash.digest("hex");
}
