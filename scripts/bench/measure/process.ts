// What Linux tells of one process. All of it works on a zombie too, except memory.
import { readFileSync } from "node:fs";
import type { Bytes, Millis } from "../../../src/base/units.ts";

/** Linux counts CPU in ticks of 10 ms wherever it tells programs of it (USER_HZ). */
const TICK: Millis = 10;

/** Milliseconds on the clock that all processes of this machine share (CLOCK_MONOTONIC). */
export function clock(): Millis {
	return Number(process.hrtime.bigint()) / 1e6;
}

/** CPU that a process has used, all threads, user and system. */
export function cpuOf(pid: number): Millis {
	return cpuIn(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** Field 14 (utime) and 15 (stime) of proc(5); the name before them may hold spaces and brackets. */
export function cpuIn(stat: string): Millis {
	const fields = fieldsAfterName(stat);
	return (Number(fields[11]) + Number(fields[12])) * TICK;
}

/** Whether a process has ended and waits for its parent to take notice. */
export function hasEnded(pid: number): boolean {
	return fieldsAfterName(readFileSync(`/proc/${pid}/stat`, "utf8"))[0] === "Z";
}

function fieldsAfterName(stat: string): string[] {
	return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Bytes that a process made the kernel write to a disk, less what was taken back before it got there. */
export function writtenBy(pid: number): Bytes {
	const io = readFileSync(`/proc/${pid}/io`, "utf8");
	return figureIn(io, "write_bytes") - figureIn(io, "cancelled_write_bytes");
}

export interface Memory {
	/** Proportional set size: shared pages count by their share. */
	readonly pss: Bytes;
	/** The part of it that is no file's. */
	readonly anonymous: Bytes;
}

/** Undefined when the process is just ending. */
export function memoryOf(pid: number): Memory | undefined {
	try {
		const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
		const pss = figureIn(rollup, "Pss") * 1024;
		return { pss, anonymous: figureIn(rollup, "Pss_Anon") * 1024 };
	} catch {
		return undefined;
	}
}

/** Unique set size: what would come free if the process ended. NaN when it is just ending. */
export function ussOf(pid: number): Bytes {
	try {
		const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
		const clean = figureIn(rollup, "Private_Clean");
		return (clean + figureIn(rollup, "Private_Dirty")) * 1024;
	} catch {
		return Number.NaN;
	}
}

/** The most memory that a process ever had resident. */
export function peakRss(pid: number): Bytes {
	return figureIn(readFileSync(`/proc/${pid}/status`, "utf8"), "VmHWM") * 1024;
}

/** `name:  123` on a line of its own; units are left to the caller. NaN when there is no such line. */
export function figureIn(text: string, name: string): number {
	const line = new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text);
	return Number(line?.[1] ?? Number.NaN);
}

/** Looks at the memory of some processes again and again and keeps the largest PSS of each. */
export class MemoryWatch {
	private readonly peaks = new Map<number, Memory>();
	private readonly timer: NodeJS.Timeout;

	constructor(pids: readonly number[], every: Millis) {
		for (const pid of pids) this.look(pid);
		this.timer = setInterval(() => {
			for (const pid of pids) this.look(pid);
		}, every);
	}

	look(pid: number): void {
		const now = memoryOf(pid);
		if (now === undefined) return;
		const peak = this.peaks.get(pid);
		if (peak === undefined || now.pss > peak.pss) this.peaks.set(pid, now);
	}

	peak(pid: number): Memory {
		return this.peaks.get(pid) ?? { pss: Number.NaN, anonymous: Number.NaN };
	}

	close(): void {
		clearInterval(this.timer);
	}
}
