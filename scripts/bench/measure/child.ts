import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { SECOND, within } from "../../../src/base/time.ts";

const STOP_LIMIT = 3 * SECOND;

/** What a child says: one JSON object a line on its standard output, named by `event`. */
export type Said = { readonly event: string } & Readonly<
	Record<string, unknown>
>;

/** A process that is told what to do by lines on its standard input. It is ended by `close` and never left behind. */
export class Child {
	readonly pid: number;
	private readonly name: string;
	private readonly child: ChildProcess;
	private readonly exited: Promise<void>;
	private readonly heard: Said[] = [];
	private readonly waiting = new Map<string, (said: Said) => void>();
	private readonly gone = Promise.withResolvers<never>();

	constructor(name: string, command: string, args: readonly string[]) {
		this.name = name;
		this.child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
		this.pid = this.child.pid ?? 0;
		this.exited = new Promise((resolve) => {
			this.child.once("close", () => resolve());
		});
		this.child.once("error", (error) => this.gone.reject(error));
		this.child.once("exit", (code, signal) => {
			this.gone.reject(new Error(`${name} ended with ${signal ?? code}`));
		});
		// Nobody may be waiting for anything when it ends.
		this.gone.promise.catch(() => undefined);
		this.child.stdin?.on("error", () => undefined);
		if (this.child.stdout !== null) {
			createInterface(this.child.stdout).on("line", (line) => this.take(line));
		}
	}

	tell(order: Readonly<Record<string, unknown>>): void {
		this.child.stdin?.write(`${JSON.stringify(order)}\n`);
	}

	/** The next event of this name, or one that has come already. Rejects when the process or the signal ends first. */
	async said(event: string, signal: AbortSignal): Promise<Said> {
		const at = this.heard.findIndex((said) => said.event === event);
		const before = at < 0 ? undefined : this.heard.splice(at, 1)[0];
		if (before !== undefined) return before;
		const { promise, resolve, reject } = Promise.withResolvers<Said>();
		const abort = () =>
			reject(
				new Error(`${this.name} has not said "${event}"`, {
					cause: signal.reason,
				}),
			);
		this.waiting.set(event, resolve);
		signal.addEventListener("abort", abort);
		if (signal.aborted) abort();
		try {
			return await Promise.race([promise, this.gone.promise]);
		} finally {
			this.waiting.delete(event);
			signal.removeEventListener("abort", abort);
		}
	}

	/** Ends it: by the end of its standard input, and by force when that is not enough. */
	async close(): Promise<void> {
		if (this.child.pid === undefined) return;
		this.child.stdin?.end();
		await within(STOP_LIMIT, this.exited, undefined);
		if (this.child.exitCode === null && this.child.signalCode === null)
			this.child.kill("SIGKILL");
		await this.exited;
	}

	private take(line: string): void {
		const said = JSON.parse(line) as Said;
		const waiter = this.waiting.get(said.event);
		if (waiter === undefined) this.heard.push(said);
		else waiter(said);
	}
}
