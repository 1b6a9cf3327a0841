import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { LarderError } from "../base/errors.ts";
import { SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

const START_LIMIT: Millis = 30 * SECOND;
const STOP_LIMIT: Millis = 6 * SECOND;

/** The fields of the log line with which a service says that it is ready. */
export type ReadyLine = Readonly<Record<string, unknown>>;

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
	readonly code: number | null;
	readonly signal: NodeJS.Signals | null;
}

/** One process of the neighbourhood. Its log goes into a file; it is ended by its own id and nothing else. */
export class DeskProcess {
	readonly name: string;
	readonly ready: ReadyLine;
	/** What it wrote to standard error, runs before this one included. */
	readonly logFile: string;
	/** Resolves when it is gone and its log is whole. */
	readonly exited: Promise<Exit>;
	private readonly child: ChildProcess;

	private constructor(
		name: string,
		child: ChildProcess,
		logFile: string,
		exited: Promise<Exit>,
		ready: ReadyLine,
	) {
		this.name = name;
		this.child = child;
		this.logFile = logFile;
		this.exited = exited;
		this.ready = ready;
	}

	/** Starts a Node program and waits for its "ready" line. Throws COMMAND_FAILED with the end of its log when it dies first. */
	static async start(
		name: string,
		args: readonly string[],
		logFile: string,
	): Promise<DeskProcess> {
		const child = spawn(process.execPath, args, {
			stdio: ["ignore", "ignore", "pipe"],
		});
		const log = createWriteStream(logFile, { flags: "a" });
		const logged = once(log, "close");
		const exited = once(child, "exit").then(async ([code, signal]) => {
			await logged;
			return { code, signal } as Exit;
		});
		const tail: string[] = [];
		const started = Promise.withResolvers<ReadyLine>();
		const lines = createInterface({ input: child.stderr });
		lines.on("line", (line) => {
			log.write(`${line}\n`);
			tail.push(line);
			if (tail.length > 20) tail.shift();
			const ready = readyIn(line);
			if (ready !== undefined) started.resolve(ready);
		});
		lines.once("close", () => log.end());
		child.once("error", (cause) => started.reject(cause));
		child.once("exit", (code) => {
			started.reject(
				new LarderError(
					"COMMAND_FAILED",
					`${name} ended with ${code} before it was ready:\n${tail.join("\n")}`,
				),
			);
		});
		const ready = await within(START_LIMIT, started.promise, undefined);
		if (ready === undefined) {
			child.kill("SIGKILL");
			throw new LarderError(
				"COMMAND_FAILED",
				`${name} was not ready in time; its log is ${logFile}`,
			);
		}
		return new DeskProcess(name, child, logFile, exited, ready);
	}

	get pid(): number | undefined {
		return this.child.pid;
	}

	get running(): boolean {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	/** Ends it as an operator would, and by force when that takes too long; resolves when it is gone. */
	async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<Exit> {
		if (this.running) {
			this.child.kill(signal);
			await within(STOP_LIMIT, this.exited, undefined);
			if (this.running) this.child.kill("SIGKILL");
		}
		return await this.exited;
	}

	/** Stops it from running at all, or lets it go on. */
	freeze(frozen: boolean): void {
		this.child.kill(frozen ? "SIGSTOP" : "SIGCONT");
	}
}

function readyIn(line: string): ReadyLine | undefined {
	if (!line.includes('"ready"')) return undefined;
	try {
		const entry: unknown = JSON.parse(line);
		if (typeof entry !== "object" || entry === null) return undefined;
		return "msg" in entry && entry.msg === "ready"
			? (entry as ReadyLine)
			: undefined;
	} catch {
		// Not a log line: something that the runtime printed.
		return undefined;
	}
}
