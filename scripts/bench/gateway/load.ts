import { join } from "node:path";
import type { Bytes, Millis } from "../../../src/base/units.ts";
import { run } from "../../run.ts";
import {
	type Figures,
	megabytesPerSecond,
	perMegabyte,
} from "../measure/figures.ts";
import { cpuOf, MemoryWatch } from "../measure/process.ts";

export const FIGURES = ["mbps", "median", "p99", "cpu", "pss"] as const;
export type Figure = (typeof FIGURES)[number];

/** A server of the same files. */
export interface Server {
	readonly pid: number;
	readonly origin: string;
	/** Where each file is. */
	readonly paths: readonly string[];
}

/** What load.lua prints. */
interface Said {
	readonly bytes: Bytes;
	readonly span: number;
	readonly requests: number;
	readonly errors: number;
	readonly median: number;
	readonly p99: number;
}

const SCRIPT = join(import.meta.dirname, "load.lua");
const LOOK: Millis = 100;

/** Loads a server for so many seconds. Throws when any request failed. Gives MB/s, ms, CPU in ms per MB, and MB of memory. */
export async function load(
	{ pid, origin, paths }: Server,
	connections: number,
	seconds: number,
): Promise<Figures<Figure>> {
	const memory = new MemoryWatch([pid], LOOK);
	const before = cpuOf(pid);
	const printed = await run("wrk", [
		...["-t", "1", "-c", `${connections}`, "-d", `${seconds}s`],
		...["--timeout", "30s", "-s", SCRIPT, origin, "--", ...paths],
	]);
	const cpu = cpuOf(pid) - before;
	memory.close();
	const line = printed.trimEnd().split("\n").at(-1) ?? "";
	const said = JSON.parse(line) as Said;
	if (said.errors > 0 || said.requests === 0)
		throw new Error(`${said.errors} of ${said.requests} requests failed`);
	return {
		mbps: megabytesPerSecond(said.bytes, said.span / 1000),
		median: said.median / 1000,
		p99: said.p99 / 1000,
		cpu: perMegabyte(cpu, said.bytes),
		pss: memory.peak(pid).pss / 1e6,
	};
}
