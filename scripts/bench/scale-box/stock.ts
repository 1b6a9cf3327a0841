import { monitorEventLoopDelay } from "node:perf_hooks";
import { silent } from "../../../src/base/log.ts";
import { type Bytes, GiB, type Millis } from "../../../src/base/units.ts";
import { nextToScrub } from "../../../src/plan/scrub.ts";
import { ShardStore } from "../../../src/store/store.ts";
import { clock, cpuOf } from "../measure/process.ts";

/** One piece of work on a store. */
export interface Work {
	readonly took: Millis;
	readonly cpu: Millis;
	readonly lagMax: Millis;
}

export interface Stock {
	readonly open: Work;
	/** What is done every six hours. */
	readonly audit: Work;
	/** To find what is read through next, which is done each second while the box is idle. */
	readonly scrub: Work;
	readonly mended: number;
	readonly used: Bytes;
}

/** Opens the store of a box that does not run, and has it do what it does now and then. */
export async function takeStock(folder: string): Promise<Stock> {
	const size = { capacity: 4096 * GiB, streamingShare: 0 };
	const open = await timed(() =>
		ShardStore.open({ folder, ...size, log: silent }),
	);
	const store = open.value;
	try {
		const audit = await timed(() => store.audit());
		const titles = store.titles();
		const title = titles.toSorted()[Math.floor(titles.length / 2)];
		const after = title && { title, shard: 0 };
		const heldOf = (id: (typeof titles)[number]) =>
			store.inventory(id)?.held ?? [];
		const scrub = await timed(async () =>
			nextToScrub(store.titles(), heldOf, after),
		);
		return {
			...{ open: open.work, audit: audit.work, scrub: scrub.work },
			...{ mended: audit.value, used: store.usedBytes },
		};
	} finally {
		await store.close();
	}
}

async function timed<T>(work: () => Promise<T>) {
	const delay = monitorEventLoopDelay({ resolution: 1 });
	delay.enable();
	const [at, cpu] = [clock(), cpuOf(process.pid)];
	const value = await work();
	const took = clock() - at;
	delay.disable();
	const lagMax = delay.max / 1e6;
	return { value, work: { took, cpu: cpuOf(process.pid) - cpu, lagMax } };
}
