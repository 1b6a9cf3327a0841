import { readFileSync } from "node:fs";
import type { Log } from "../base/log.ts";
import { MINUTE, monotonic, SECOND } from "../base/time.ts";
import {
	type Bytes,
	formatBytes,
	KiB,
	MiB,
	type Millis,
} from "../base/units.ts";

/** What a receiver spends on the agent, whatever else its unit allows: MemoryMax of larder-agent.service. */
const MOST: Bytes = 192 * MiB;
const ROUND: Millis = SECOND;
/** Above this part of the limit neighbours are closed; until it is below the other for a while, no more are let in. */
const TIGHT = 0.85;
const EASY = 0.7;
const CALM: Millis = MINUTE;
/** What is given up in a round, and what is always kept: a film needs somebody to come from. */
const SHARE = 1 / 4;
const FEWEST = 4;
/** After neighbours were closed their buffers have to be collected, before it is known whether that did it. */
const SETTLE: Millis = 3 * SECOND;

export interface MemoryOptions {
	readonly limit: Bytes;
	/** What the process takes that cannot be taken from it: anonymous memory. */
	readonly used: () => Bytes;
	readonly swarm: {
		readonly neighbours: { readonly size: number };
		/** At most so many neighbours from now on; those unused for longest go first. Undefined: as many as configured. */
		allow(most: number | undefined): void;
	};
	readonly log: Log;
	readonly now?: () => Millis;
}

/** Keeps the agent below what it may take: each neighbour costs buffers, and those are what it can give up. */
export class MemoryGuard {
	private readonly options: MemoryOptions;
	private readonly now: () => Millis;
	private readonly timer: NodeJS.Timeout;
	private tight = false;
	/** Nothing is judged before. */
	private settled: Millis = 0;
	private easySince: Millis | undefined;

	constructor(options: MemoryOptions) {
		this.options = options;
		this.now = options.now ?? monotonic;
		this.timer = setInterval(() => this.look(), ROUND).unref();
	}

	look(): void {
		const { limit, used: measure, swarm, log } = this.options;
		const now = this.now();
		if (now < this.settled) return;
		const used = measure();
		if (used > TIGHT * limit) {
			const { size } = swarm.neighbours;
			const most = Math.max(FEWEST, Math.floor(size * (1 - SHARE)));
			this.tight = true;
			this.easySince = undefined;
			this.settled = now + SETTLE;
			swarm.allow(most);
			const told = { used: formatBytes(used), limit: formatBytes(limit), most };
			log.warn(told, "memory is short: neighbours are closed");
		} else if (this.tight) this.relax(used < EASY * limit, now);
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
	}

	private relax(isEasy: boolean, now: Millis): void {
		if (!isEasy) this.easySince = undefined;
		else this.easySince ??= now;
		if (this.easySince === undefined || now - this.easySince < CALM) return;
		this.tight = false;
		this.easySince = undefined;
		this.options.swarm.allow(undefined);
		this.options.log.info({}, "there is memory again for all neighbours");
	}
}

/** What the process takes that lies in no file: RssAnon of proc(5). */
export function anonymous(): Bytes {
	const status = readFileSync("/proc/self/status", "utf8");
	return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * KiB;
}

/** The limit of this process's cgroup (v2), or what a receiver spends at most where there is none that is lower. */
export function memoryLimit(
	read = (path: string) => readFileSync(path, "utf8"),
): Bytes {
	try {
		const group = /^0::(.*)$/m.exec(read("/proc/self/cgroup"))?.[1] ?? "/";
		const limit = Number(read(`/sys/fs/cgroup${group}/memory.max`));
		// "max" is not a number.
		return limit < MOST ? limit : MOST;
	} catch {
		// No cgroup v2, as on old receivers and in containers.
		return MOST;
	}
}
