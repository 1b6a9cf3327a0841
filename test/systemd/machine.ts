// A Debian machine to install on: this one as it is, with all that is written to it elsewhere.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { run } from "../../scripts/run.ts";

const MOUNT = `
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
mount --bind /dev "$1/root/dev"
mount --bind "$2" "$1/root/mnt"
echo mounted
exec sleep 600
`;

export interface Machine {
	/** Runs a command on it, as root; gives what it printed. Rejects with all of that when it fails. */
	run(command: string, ...args: readonly string[]): Promise<string>;
	/** Files that are there or other than before, relative to its root. */
	changed(): Promise<string[]>;
}

/** @param shared a folder that is /mnt there */
export async function openMachine(t: Test, shared: string): Promise<Machine> {
	const folder = await mkdtemp(join(tmpdir(), "larder-machine-"));
	const holder = spawn(
		"unshare",
		["--mount", "sh", "-ec", MOUNT, "sh", folder, shared],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	t.teardown(async () => {
		holder.kill();
		await rm(folder, { recursive: true, force: true });
	});
	const [said] = await Promise.race([
		once(holder.stdout, "data"),
		once(holder, "exit").then(() => [""]),
	]);
	if (!`${said}`.startsWith("mounted"))
		throw new Error("no machine to install on: that takes root");
	const inside = ["-t", `${holder.pid}`, "--mount"];
	// Nothing of what is set here.
	const env = [
		...["-i", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"],
		...["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"],
	];
	return {
		run: (command, ...args) =>
			run("nsenter", [
				...[...inside, "chroot", join(folder, "root")],
				...["env", ...env, command, ...args],
			]),
		changed: async () => {
			const upper = join(folder, "upper");
			const list = await run("nsenter", [
				...[...inside, "find", upper, "!", "-type", "d"],
				...["-printf", "%P\\n"],
			]);
			return list.split("\n").filter((path) => path !== "");
		},
	};
}
