import { readFile, statfs } from "node:fs/promises";
import { arch, freemem, loadavg, release, totalmem, uptime } from "node:os";
import { systemCode } from "../base/errors.ts";
import { TARGET, VERSION } from "./built.ts";

/** What a box runs on, for who helps with it. `data` is the folder that its disk is looked at by. */
export async function machineOf(data: string | undefined): Promise<object> {
	return {
		at: new Date().toISOString(),
		larder: VERSION,
		target: TARGET,
		node: process.version,
		arch: arch(),
		kernel: release(),
		system: await systemName(),
		uptime: Math.round(uptime()),
		load: loadavg(),
		memory: { total: totalmem(), free: freemem() },
		disk: data && (await diskOf(data)),
	};
}

async function systemName(): Promise<string | undefined> {
	const text = await readIfThere("/etc/os-release");
	return /^PRETTY_NAME="?(.*?)"?$/m.exec(text)?.[1];
}

/** How full the disk is, in bytes, and how it is mounted. */
async function diskOf(data: string): Promise<object | undefined> {
	try {
		const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(data);
		return {
			...{ data, size: blocks * bsize, free: bfree * bsize },
			...{ available: bavail * bsize, files, freeFiles: ffree },
			mount: mountOf(data, await readIfThere("/proc/self/mounts")),
		};
	} catch (error) {
		return { data, error: systemCode(error) };
	}
}

/** The line of the mount that a path lies on: the longest that it begins with. */
export function mountOf(path: string, mounts: string): string | undefined {
	const rows = mounts.split("\n").filter((row) => {
		const folder = row.split(" ")[1];
		if (folder === undefined) return false;
		return `${path}/`.startsWith(folder === "/" ? folder : `${folder}/`);
	});
	const lengthOf = (row: string) => row.split(" ")[1]?.length ?? 0;
	// Of two on one folder the later hides the other.
	return rows.toSorted((a, b) => lengthOf(a) - lengthOf(b)).at(-1);
}

async function readIfThere(path: string): Promise<string> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT") return "";
		throw error;
	}
}
