import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { run } from "../scripts/run.ts";

const FOLDER = "/proc/sys/fs/binfmt_misc";
/** Debian's own entry for programs of arm64. */
const ENTRY = "/usr/lib/binfmt.d/qemu-aarch64.conf";

/**
 * Has the kernel run programs of arm64 by qemu-user, as it does on a Debian machine where systemd-binfmt has run.
 * Gives what undoes it.
 */
export async function runArm64(): Promise<() => Promise<void>> {
	const nothing = async () => undefined;
	if (process.arch === "arm64") return nothing;
	if (!existsSync(`${FOLDER}/register`))
		await run("mount", ["-t", "binfmt_misc", "binfmt_misc", FOLDER]);
	if (existsSync(`${FOLDER}/qemu-aarch64`)) return nothing;
	// F: the kernel opens the interpreter now, so that it need not be inside the root that is made.
	const [, , , offset, magic, mask] = (await readFile(ENTRY, "utf8"))
		.trim()
		.split(":");
	const line = `:qemu-aarch64:M:${offset}:${magic}:${mask}:/usr/bin/qemu-aarch64-static:F`;
	await writeFile(`${FOLDER}/register`, line);
	return () => writeFile(`${FOLDER}/qemu-aarch64`, "-1");
}
