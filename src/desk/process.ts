import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { LarderError } from "../base/errors.ts";
import { SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

const START_LIMIT: Millis = 30 * SECOND;
const STOP_LIMIT: Millis = 6 * SECOND;
const TETHER = new URL("./tether.ts", import.meta.url).href;

/** The fields of the log line with which a service says that it is ready. */
export type ReadyLine = Readonly<Record<string, unknown>>;

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
	readonly code: number | null;
	readonly signal: NodeJS.Signals | null;
}

/**
 * One process of the neighbourhood. Its log goes into a file; it is ended by its own id and nothing else, and ends by
 * itself when the process that started it does.
 */
export class DeskProcess {
	readonly name: string;
	/** What it wrote to standard error, runs before this one included. */
	readonly logFile: string;
	/** Resolves when it is gone and its log is whole. */
	readonly exited: Promise<Exit>;
	private readonly child: ChildProcess;
	private readonly tail: string[] = [];
	private readonly started = Promise.withResolvers<ReadyLine>();
	private line: ReadyLine = {};
	private stopping = false;

	/**
	 * Starts a Node program.
	 * @param within a command that runs what follows it, in a network of its own for example, and becomes it
	 */
	constructor(
		name: string,
		args: readonly string[],
		logFile: string,
		within: readonly string[] = [],
	) {
		this.name = name;
		this.logFile = logFile;
		const node = [process.execPath, "--import", TETHER, ...args];
		const [command = "", ...rest] = [...within, ...node];
		const child = spawn(command, rest, {
			stdio: ["pipe", "ignore", "pipe"],
			// Ctrl-C is for the desk alone: it ends its processes in order.
			detached: true,
		});
		this.child = child;
		const log = createWriteStream(logFile, { flags: "a" });
		const logged = once(log, "close");
		this.exited = once(child, "close").then(async ([code, signal]) => {
			await logged;
			return { code, signal } as Exit;
		});
		const lines = createInterface({ input: child.stderr });
		lines.on("line", (line) => {
			log.write(`${line}\n`);
			this.tail.push(line);
			if (this.tail.length > 20) this.tail.shift();
			const ready = readyIn(line);
			if (ready !== undefined) this.started.resolve(ready);
		});
		lines.once("close", () => log.end());
		child.once("error", this.started.reject);
		child.once("close", (code, signal) => {
			this.started.reject(this.failure({ code, signal }));
		});
		this.started.promise.catch(() => undefined);
	}

	/** Waits for its "ready" line. Rejects with COMMAND_FAILED and its last words when it dies first or is not ready in time. */
	async untilReady(): Promise<void> {
		const ready = await within(START_LIMIT, this.started.promise, undefined);
		if (ready !== undefined) {
			this.line = ready;
			return;
		}
		await this.stop("SIGKILL");
		throw this.failure(`was not ready in ${START_LIMIT / SECOND} s`);
	}

	/** What it said when it was ready. */
	get ready(): ReadyLine {
		return this.line;
	}

	get pid(): number | undefined {
		return this.child.pid;
	}

	get running(): boolean {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	/** Whether somebody meant it to end. */
	get isStopped(): boolean {
		return this.stopping;
	}

	/** Ends it as an operator would, and by force when that takes too long; resolves when it is gone. */
	async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<Exit> {
		this.stopping = true;
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

	/** COMMAND_FAILED: how it ended, and its last words, those to a person if there are any. */
	failure(how: Exit | string): LarderError {
		const what =
			typeof how === "string" ? how : `ended with ${how.signal ?? how.code}`;
		const words = this.tail.filter((line) => !line.startsWith("{"));
		const last = words.length > 0 ? words : this.tail.slice(-5);
		const lines = [`${this.name} ${what}`, ...last];
		return new LarderError("COMMAND_FAILED", lines.join("\n"));
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
