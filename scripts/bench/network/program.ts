import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { SECOND, within } from "../../../src/base/time.ts";
import type { Node } from "./network.ts";

const STOP_LIMIT = 3 * SECOND;

/** A foreign program on one node of the network. What it says goes into a file, of which the end is shown if it dies. */
export class Program {
	readonly pid: number;
	private readonly name: string;
	private readonly log: string;
	private readonly child: ChildProcess;
	private readonly exited: Promise<unknown>;

	constructor(
		name: string,
		node: Node,
		command: readonly string[],
		log: string,
	) {
		const [enter = "", ...words] = [...node.through, ...command];
		const output = openSync(log, "a");
		this.child = spawn(enter, words, { stdio: ["ignore", output, output] });
		this.pid = this.child.pid ?? 0;
		this.name = name;
		this.log = log;
		this.exited = once(this.child, "close");
	}

	/** Throws once it has ended. */
	mustRun(): void {
		const { exitCode, signalCode } = this.child;
		if (exitCode === null && signalCode === null) return;
		const said = readFileSync(this.log, "utf8").slice(-1000);
		throw new Error(
			`${this.name} ended with ${signalCode ?? exitCode}\n${said}`,
		);
	}

	async close(): Promise<void> {
		this.child.kill("SIGTERM");
		await within(STOP_LIMIT, this.exited, undefined);
		this.child.kill("SIGKILL");
		await this.exited;
	}
}
