import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { LarderError } from "../../base/errors.ts";

/** Packs a folder's content into a gzipped archive at `file`, which only its owner can read. Throws COMMAND_FAILED. */
export async function pack(folder: string, file: string): Promise<void> {
	await tar(["--create", "--gzip", "--file", file, "--directory", folder, "."]);
}

/** Unpacks an archive into an empty folder; nothing leaves the folder. Throws COMMAND_FAILED. */
export async function unpack(file: string, folder: string): Promise<void> {
	await tar([
		"--extract",
		"--gzip",
		"--no-same-owner",
		"--file",
		file,
		"--directory",
		folder,
	]);
}

async function tar(args: readonly string[]): Promise<void> {
	const child = spawn("tar", ["--force-local", ...args], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	try {
		const [said, code] = await Promise.all([
			text(child.stderr),
			new Promise<number | null>((resolve, reject) => {
				child.once("error", reject);
				child.once("close", resolve);
			}),
		]);
		if (code !== 0) throw new Error(said.trim() || `tar ended with ${code}`);
	} catch (cause) {
		throw new LarderError("COMMAND_FAILED", "tar failed", { cause });
	}
}
