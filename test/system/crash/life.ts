import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes, Millis } from "../../../src/base/units.ts";
import type { DeskProcess } from "../../../src/desk/process.ts";
import { namesIn } from "./truth.ts";

/** What a box may do in one life. */
export interface Leave {
	/** Whether it may fetch what it is to hold. */
	readonly fills: boolean;
	readonly quota?: Bytes;
	/** As in larder.toml. */
	readonly down?: string;
}

/** One life of the box. */
export interface Life {
	readonly process: DeskProcess;
	/** In Unix milliseconds. */
	readonly began: Millis;
	/** How long it took to be ready, without waiting for a processor that others had; undefined when it ended before. */
	readonly ready: Promise<Millis | undefined>;
}

/**
 * How long it took to be ready, without what its threads waited for a processor that others had. Undefined when it ended before that could be asked.
 * @param began in Unix milliseconds
 */
export async function readyAfter(
	process: DeskProcess,
	began: Millis,
): Promise<Millis | undefined> {
	try {
		await process.untilReady();
	} catch {
		// It was killed on its way.
		return undefined;
	}
	// By what it says itself: this process may be late to hear of it.
	const took = Number(process.ready["time"]) - began;
	const waited = await waitedFor(process.pid);
	return waited === undefined ? undefined : took - waited;
}

/** How long the threads of a process could have run and did not get to, as the kernel counts it. Undefined when it is gone. */
async function waitedFor(pid: number | undefined): Promise<Millis | undefined> {
	const tasks = `/proc/${pid}/task`;
	const names = await namesIn(tasks);
	let waited = 0;
	for (const name of names) {
		const path = join(tasks, name, "schedstat");
		const said = await readFile(path, "utf8").catch(() => "0 0");
		waited += Number(said.split(" ")[1]) / 1e6;
	}
	return names.length === 0 ? undefined : waited;
}
