import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { mustBeOnDisk } from "../measure/machine.ts";

export interface AloneOptions {
	/** What it is called. */
	readonly name: string;
	/** Where a folder of its own is made, on a disk. */
	readonly parent: string;
	/** Whether the folder is left. */
	readonly keep: boolean;
}

/**
 * Starts a benchmark's file again, with `--inside FOLDER`, in namespaces that end with it, whatever becomes of either. Gives its exit
 * code. Throws when this is not root.
 */
export async function runAlone(
	file: string,
	args: readonly string[],
	{ name, parent: folder, keep }: AloneOptions,
): Promise<number> {
	if (process.getuid?.() !== 0)
		throw new Error(`networks are made by root: sudo npm run bench -- ${name}`);
	const parent = resolve(folder);
	await mkdir(parent, { recursive: true });
	await mustBeOnDisk(parent);
	const dir = await mkdtemp(join(parent, `${name}-`));
	const alone = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
	const self = [process.execPath, file, ...args, "--inside", dir];
	const child = spawn("unshare", [...alone, ...self], {
		stdio: ["ignore", "inherit", "inherit"],
		// Ctrl-C is for this process: it ends the other, and all that is in there ends with it.
		detached: true,
	});
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
		process.once(signal, () => child.kill("SIGKILL"));
	try {
		const [code] = (await once(child, "close")) as [number | null];
		return code ?? 1;
	} finally {
		if (keep) process.stderr.write(`kept: ${dir}\n`);
		else await rm(dir, { recursive: true, force: true });
	}
}
