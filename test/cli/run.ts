import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

/** Runs one exported command in a process of its own. */
export function run(
	file: "status" | "doctor",
	options: object,
): Promise<{ code: number; stdout: string; stderr: string }> {
	const module = new URL(`../../src/cli/${file}.ts`, import.meta.url);
	const program = `
		import { ${file}Command } from ${JSON.stringify(module)};
		process.exitCode = await ${file}Command(${JSON.stringify(options)});`;
	return new Promise((resolve) => {
		execFile(
			process.execPath,
			["--input-type=module", "-e", program],
			(error, stdout, stderr) =>
				resolve({
					code: typeof error?.code === "number" ? error.code : 0,
					stdout,
					stderr,
				}),
		);
	});
}

/** A short folder: the path of a socket has at most 107 bytes. */
export async function shortFolder(test: Test): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "larder-cli-"));
	test.teardown(() => rm(folder, { recursive: true }));
	return folder;
}
