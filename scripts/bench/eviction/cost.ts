import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { monotonic } from "../../../src/base/time.ts";
import type { Bytes, Millis } from "../../../src/base/units.ts";
import { Transients } from "../../../src/plan/transients.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { median } from "../measure/figures.ts";
import { SHARD, seededRandom } from "./trace.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const RUNS = 2000;
/** Shards of each title. */
const EACH = 64;

export interface Cost {
	readonly shards: number;
	/** To choose the one that makes room for another; the median of many times. */
	readonly span: Millis;
	/** Of memory for each shard. */
	readonly memory: Bytes;
}

/** What making room costs among so many shards. */
export function costAmong(shards: number): Cost {
	const before = heap();
	const transients = new Transients(seededRandom(1));
	for (let i = 0; i < shards; i++)
		transients.add(idOf(Math.floor(i / EACH)), i % EACH, SHARD);
	const memory = (heap() - before) / shards;
	const spans = Array.from({ length: RUNS }, (_, run) => {
		const began = monotonic();
		const { going } = transients.plan(SHARD, began, () => false);
		const span = monotonic() - began;
		for (const { title, shard } of going) transients.delete(title, shard);
		transients.add(idOf(shards + run), 0, SHARD);
		return span;
	});
	return { shards, span: median(spans), memory };
}

function heap(): Bytes {
	collectGarbage();
	return process.memoryUsage().heapUsed;
}

function idOf(title: number): TitleId {
	return `${title}`.padStart(64, "0") as TitleId;
}
