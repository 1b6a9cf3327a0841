import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { SECOND, within } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { clock } from "../measure/process.ts";

const START_LIMIT: Millis = 60 * SECOND;
const STOP_LIMIT: Millis = 6 * SECOND;

/** An agent that has said that it is ready. */
export interface Running {
	readonly pid: number;
	/** When it was started, on the clock that all processes share. */
	readonly began: Millis;
	/** From exec until its log said "ready". */
	readonly readyAfter: Millis;
	stop(): Promise<void>;
}

/** Starts an agent. Rejects with the end of its log when it is not ready in time. */
export async function launch(
	command: readonly [string, ...string[]],
	env: Readonly<Record<string, string>> = {},
): Promise<Running> {
	const [program, ...args] = command;
	const began = clock();
	const child = spawn(program, args, {
		stdio: ["ignore", "ignore", "pipe"],
		env: { ...process.env, ...env },
	});
	const ready = Promise.withResolvers<Millis>();
	const tail: string[] = [];
	createInterface({ input: child.stderr }).on("line", (line) => {
		if (line.includes('"msg":"ready"')) ready.resolve(clock() - began);
		tail.push(line);
		if (tail.length > 10) tail.shift();
	});
	child.once("error", ready.reject);
	child.once("exit", (code, signal) =>
		ready.reject(new Error(`it ended with ${signal ?? code}`)),
	);
	try {
		const readyAfter = await within(START_LIMIT, ready.promise, undefined);
		if (readyAfter === undefined) throw new Error("it was not ready in time");
		return {
			pid: child.pid ?? 0,
			began,
			readyAfter,
			stop: () => stop(child),
		};
	} catch (cause) {
		await stop(child);
		const log = tail.join("\n");
		throw new Error(`an agent did not start:\n${log}`, { cause });
	}
}

async function stop(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, "exit");
	child.kill("SIGTERM");
	await within(STOP_LIMIT, exited, undefined);
	if (child.exitCode !== null || child.signalCode !== null) return;
	child.kill("SIGKILL");
	await exited;
}

/** From exec until the end of a program that does nothing. */
export async function timeToEnd(
	command: readonly [string, ...string[]],
): Promise<Millis> {
	const [program, ...args] = command;
	const began = clock();
	const child = spawn(program, args, { stdio: "ignore" });
	const [code] = await once(child, "exit");
	if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}`);
	return clock() - began;
}
