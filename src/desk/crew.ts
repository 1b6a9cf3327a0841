import { join } from "node:path";
import { NODE_FLAGS } from "../agent/runtime.ts";
import { DeskProcess } from "./process.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const PROGRAMS = {
	/** Every command, from source. */
	larder: [join(ROOT, "src", "cli", "main.ts")],
	/** The commands of a box, as they are bundled for it. */
	box: [
		...NODE_FLAGS,
		join(ROOT, "dist", "agent", `linux-${process.arch}`, "larder.mjs"),
	],
} as const;

/**
 * The processes of a desk. Invariant: every process that was started is in `processes`, ready or not, and none is
 * started once `signal` is aborted.
 */
export class Crew {
	private readonly logs: string;
	private readonly signal: AbortSignal;
	private readonly processes = new Set<DeskProcess>();
	private readonly failure = new AbortController();

	/** @param logs folder for a log of each process */
	constructor(logs: string, signal: AbortSignal) {
		this.logs = logs;
		this.signal = signal;
	}

	/** Aborted, with a LarderError that says which and why, when a process ends that nobody stopped. */
	get broken(): AbortSignal {
		return this.failure.signal;
	}

	/** Starts a process and waits until it is ready. Throws COMMAND_FAILED with its last words when it is not. */
	async start(
		name: string,
		program: keyof typeof PROGRAMS,
		args: readonly string[],
		within?: readonly string[],
	): Promise<DeskProcess> {
		this.signal.throwIfAborted();
		const log = join(this.logs, `${name}.log`);
		const whole = [...PROGRAMS[program], ...args];
		const process = new DeskProcess(name, whole, log, within);
		this.processes.add(process);
		void process.exited.then((exit) => {
			if (!process.isStopped) this.failure.abort(process.failure(exit));
		});
		const stop = () => void process.stop("SIGKILL");
		this.signal.addEventListener("abort", stop, { once: true });
		try {
			await process.untilReady();
		} finally {
			this.signal.removeEventListener("abort", stop);
		}
		return process;
	}

	/** Ends all but these, all at once; resolves when they are gone. */
	async stopAllBut(
		others: readonly (DeskProcess | undefined)[],
	): Promise<void> {
		const going = [...this.processes].filter((each) => !others.includes(each));
		await Promise.all(going.map((process) => process.stop()));
	}
}
