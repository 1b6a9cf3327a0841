import { spawnSync } from "node:child_process";
import { statfs } from "node:fs/promises";
import { cpus, loadavg, release, totalmem } from "node:os";
import { formatBytes } from "../../../src/base/units.ts";

const TMPFS = 0x0102_1994;

/** What figures depend on besides Larder. `tools` are commands that print their version. */
export function machineFacts(
	tools: Readonly<Record<string, readonly [string, ...string[]]>> = {},
): Record<string, string> {
	const facts: Record<string, string> = {
		CPU: `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
		memory: formatBytes(totalmem()),
		kernel: release(),
		Node: process.version,
	};
	for (const [name, [command, ...args]] of Object.entries(tools)) {
		const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
		const version = /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0];
		facts[name] = version ?? "not found";
	}
	const load = loadavg()[0] ?? 0;
	facts["load before"] =
		`${load.toFixed(2)}${load > 0.5 ? ": this machine does other things as well, so take the figures as a trial" : ""}`;
	return facts;
}

/** Throws for a folder in memory: what lies there is written to no disk. */
export async function mustBeOnDisk(folder: string): Promise<void> {
	if ((await statfs(folder)).type !== TMPFS) return;
	throw new Error("the folder lies in memory; name one on a disk with --dir");
}
