import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Test } from "tap";
import * as z from "zod/mini";
import { temporary } from "./desk.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

const count = z.int().check(z.nonnegative());
/** The line that `larder demo --exit` ends with. */
const verdict = z.strictObject({
	ok: z.boolean(),
	boxes: count,
	titles: count,
	shards: count,
	placedBytes: count,
	heldBytes: count,
	played: z.strictObject({
		bytes: count,
		fromDisk: count,
		fromNeighbours: count,
		fromOrigin: count,
		firstByteMs: count,
		mismatches: count,
	}),
	originBytesDuringFill: count,
	fillReports: count,
	seconds: z.number().check(z.positive()),
});
export type Verdict = z.output<typeof verdict>;

/** Reads the one line on standard output. Throws when it is anything else. */
export function readVerdict(stdout: string): Verdict {
	const [line = "", ...rest] = stdout.split("\n");
	if (rest.join("") !== "") throw new Error(`more than one line: ${stdout}`);
	return z.parse(verdict, JSON.parse(line));
}

/** A demo that runs in a process of its own, with a temporary folder of its own. */
export class Demo {
	/** What `os.tmpdir()` is to it. */
	readonly temp: string;
	/** Its code, or the signal that ended it. */
	readonly exit: Promise<number | NodeJS.Signals>;
	/** What it has written so far. */
	stdout = "";
	stderr = "";
	private readonly child: ChildProcessByStdio<null, Readable, Readable>;
	private readonly looks = new Set<() => void>();

	private constructor(temp: string, args: readonly string[]) {
		this.temp = temp;
		this.child = spawn(process.execPath, [MAIN, "demo", ...args], {
			env: { ...process.env, TMPDIR: temp },
			stdio: ["ignore", "pipe", "pipe"],
		});
		const ended = once(this.child, "close");
		this.exit = ended.then(([code, signal]) => signal ?? code);
		for (const name of ["stdout", "stderr"] as const)
			this.child[name].setEncoding("utf8").on("data", (text: string) => {
				this[name] += text;
				for (const look of this.looks) look();
			});
	}

	/** Starts `larder demo`; it is ended with the test. */
	static async start(t: Test, args: readonly string[]): Promise<Demo> {
		const demo = new Demo(await temporary(t), args);
		t.teardown(async () => {
			demo.kill("SIGTERM");
			await demo.exit;
		});
		return demo;
	}

	/** Resolves once it has written what fits; rejects when it ends before that. */
	async says(pattern: RegExp): Promise<void> {
		const said = Promise.withResolvers<void>();
		const look = () => {
			if (pattern.test(this.stdout) || pattern.test(this.stderr))
				said.resolve();
		};
		this.looks.add(look);
		look();
		const ended = this.exit.then((code) => {
			throw new Error(`it ended with ${code} before ${pattern}`);
		});
		await Promise.race([said.promise, ended]);
		this.looks.delete(look);
	}

	kill(signal: NodeJS.Signals): void {
		this.child.kill(signal);
	}

	/** Ids of the processes that it has started and that run now. */
	async children(): Promise<number[]> {
		const { pid } = this.child;
		const path = `/proc/${pid}/task/${pid}/children`;
		return (await readFile(path, "utf8"))
			.split(" ")
			.map(Number)
			.filter((child) => child > 0);
	}
}

/** Whether a process is there; one that has ended and waits for its parent to notice is not. */
export async function isAlive(pid: number): Promise<boolean> {
	try {
		const stat = await readFile(`/proc/${pid}/stat`, "utf8");
		return !/\) Z /.test(stat);
	} catch {
		return false;
	}
}
