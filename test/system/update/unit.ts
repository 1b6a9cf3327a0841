import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { cp, mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { Happenings } from "../../control/operator.ts";

const ROOT = join(import.meta.dirname, "../../..");
const TETHER = new URL("../../../src/desk/tether.ts", import.meta.url).href;

/** What happens to the agent of a unit. */
export type Happening =
	| { readonly what: "hangs" }
	| { readonly what: "ready"; readonly gateway: number }
	| { readonly what: "proven" | "not-proven" }
	| { readonly what: "ended"; readonly how: number | string };

/**
 * Does what systemd does with larder-agent.service: runs launch, waits for READY, has it proven, starts it again when it
 * fails or ends with 75. The agent's word for READY is its log line.
 */
export class Unit {
	readonly happenings = new Happenings<Happening>();
	readonly state: string;
	/** How long a release may take to prove itself. */
	proof = "60 s";
	private readonly env: NodeJS.ProcessEnv;
	private readonly launch: string;
	private readonly config: string;
	private readonly log: WriteStream;
	private child: ChildProcess | undefined;
	private stopping = false;
	private loop: Promise<void> | undefined;

	private constructor(dir: string) {
		this.state = join(dir, "state");
		this.launch = join(dir, "lib", "launch");
		this.config = join(dir, "larder.toml");
		this.log = createWriteStream(join(dir, "unit.log"), { flags: "a" });
		this.env = {
			PATH: process.env["PATH"],
			STATE_DIRECTORY: this.state,
			RUNTIME_DIRECTORY: join(dir, "run"),
			// Ends with whoever runs the test.
			NODE_OPTIONS: `--import ${TETHER}`,
		};
	}

	/** Installs the package's agent into a box's folder. */
	static async install(dir: string): Promise<Unit> {
		const lib = join(dir, "lib");
		const bundle = join(ROOT, `dist/agent/linux-${process.arch}`);
		await cp(bundle, join(lib, "agent"), { recursive: true });
		await cp(join(ROOT, "systemd/launch"), join(lib, "launch"));
		await symlink(process.execPath, join(lib, "node"));
		for (const folder of ["state", "run"]) await mkdir(join(dir, folder));
		return new Unit(dir);
	}

	/** Resolves when it is ready. */
	async start(): Promise<void> {
		const before = this.happenings.all.length;
		this.loop = this.run();
		await this.happenings.until(({ what }) => what === "ready", before);
	}

	async stop(): Promise<void> {
		this.stopping = true;
		this.child?.kill("SIGTERM");
		await this.loop;
		this.log.end();
	}

	/** The time that it has to be ready is over. */
	timeOut(): void {
		this.child?.kill("SIGKILL");
	}

	/** As when the power goes: nothing is told, and it is another boot. */
	async cutPower(): Promise<void> {
		this.stopping = true;
		this.child?.kill("SIGKILL");
		await this.loop;
		this.stopping = false;
		await rm(this.env["RUNTIME_DIRECTORY"] ?? "", { recursive: true });
		await mkdir(this.env["RUNTIME_DIRECTORY"] ?? "");
	}

	/** Where its player plays, as it was last ready. */
	get gateway(): string {
		const ready = this.happenings.all.findLast(({ what }) => what === "ready");
		return ready?.what === "ready" ? `http://127.0.0.1:${ready.gateway}` : "";
	}

	private async run(): Promise<void> {
		while (!this.stopping) {
			const how = await this.once();
			this.happenings.add({ what: "ended", how });
			if (how === 0) return;
			await wait(100);
		}
	}

	private async once(): Promise<number | string> {
		const child = this.spawn(this.config);
		this.child = child;
		const gone = once(child, "close");
		const lines = createInterface({ input: child.stderr! });
		lines.on("line", (line) => {
			this.log.write(`${line}\n`);
			if (line === "hanging") this.happenings.add({ what: "hangs" });
			const gateway = /"gateway":(\d+).*"msg":"ready"/.exec(line)?.[1];
			if (gateway === undefined) return;
			this.happenings.add({ what: "ready", gateway: Number(gateway) });
			void this.prove(child);
		});
		const [code, signal] = await gone;
		return code ?? signal;
	}

	/** ExecStartPost. */
	private async prove(agent: ChildProcess): Promise<void> {
		const child = this.spawn("prove", this.config, "--within", this.proof);
		child.stderr?.on("data", (bytes) => this.log.write(bytes));
		const [code] = await once(child, "close");
		this.happenings.add({ what: code === 0 ? "proven" : "not-proven" });
		if (code !== 0) agent.kill("SIGTERM");
	}

	private spawn(...args: readonly string[]): ChildProcess {
		const env = this.env;
		return spawn("sh", [this.launch, ...args], {
			env,
			stdio: ["pipe", "ignore", "pipe"],
		});
	}
}
