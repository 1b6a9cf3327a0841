// Boots a disk with an image on it by qemu-system-aarch64, without a screen.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { MINUTE, monotonic, SECOND, sleep } from "../src/base/time.ts";
import type { Millis } from "../src/base/units.ts";
import { setBootEnv } from "./media.ts";
import { Shell } from "./shell.ts";

const FIRMWARE = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd";
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
/**
 * Has systemd open a root shell where only QEMU is at the other end. The image as it ships has no such argument. On the first
 * such console it asks for a login.
 */
const SHELL = "systemd.debug_shell=hvc1";

export interface GuestOptions {
	readonly disk: string;
	/** MiB. */
	readonly memory?: number;
	/** How the guest reaches others; user networking without a way in unless given. */
	readonly network?: readonly string[];
	/** More of the kernel's arguments. */
	readonly append?: string;
	/** More of QEMU's arguments. */
	readonly more?: readonly string[];
	/** Each line of the serial console. */
	readonly onLine?: (line: string) => void;
	readonly patience?: Millis;
}

/** A machine that runs. */
export interface Guest {
	readonly pid: number;
	/** Ended, by itself or not. */
	readonly ended: Promise<unknown>;
	/** Runs a command in the root shell; gives what it printed. Rejects when it fails, or nothing comes in time. */
	run(command: string, patience?: Millis): Promise<string>;
	/** Waits for the root shell of its next boot, once it was told to restart. */
	restarted(patience?: Millis): Promise<void>;
	/** The power goes. */
	kill(): Promise<void>;
	/** Turns it off in order. */
	halt(): Promise<void>;
}

/** Starts a machine, and waits until its root shell answers. */
export async function boot(options: GuestOptions): Promise<Guest> {
	const { disk, memory = 1024, append = "", patience = 5 * MINUTE } = options;
	await setBootEnv(disk, { extra: `${SHELL} ${append}`.trim() });
	const folder = await mkdtemp(join(tmpdir(), "larder-qemu-"));
	const socket = join(folder, "shell");
	const shell = new Shell(socket);
	const child = spawn(
		"qemu-system-aarch64",
		[
			...["-machine", "virt", "-cpu", "cortex-a72", "-smp", "2"],
			...["-m", `${memory}`, "-bios", FIRMWARE, "-nodefaults", "-nographic"],
			...["-drive", `if=none,id=disk,format=raw,file=${disk}`],
			...["-device", "virtio-blk-pci,drive=disk,bootindex=0"],
			...(options.network ?? [
				...["-netdev", "user,id=net"],
				...["-device", "virtio-net-pci,netdev=net,romfile="],
			]),
			...["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"],
			...["-chardev", `socket,id=shell,path=${socket},server=on,wait=off`],
			...["-chardev", "null,id=null", "-device", "virtconsole,chardev=null"],
			...["-device", "virtconsole,chardev=shell", "-serial", "stdio"],
			...(options.more ?? []),
		],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	const ended = once(child, "exit").then(async () => {
		shell.close();
		await rm(folder, { recursive: true, force: true });
	});
	const { onLine } = options;
	createInterface(child.stdout).on("line", (line) => onLine?.(line));
	let booted = "";
	const { pid } = child;
	if (pid === undefined) throw new Error("QEMU did not start");
	const guest: Guest = {
		pid,
		ended,
		run: (command, most = MINUTE) => shell.run(command, most),
		restarted: async (most = patience) => {
			const end = monotonic() + most;
			for (;;) {
				await shell.open(Math.max(0, end - monotonic()));
				const now = await bootOf(shell);
				if (now !== "" && now !== booted) {
					booted = now;
					return;
				}
				// What goes down may answer for a while.
				await sleep(SECOND);
			}
		},
		kill: async () => {
			child.kill("SIGKILL");
			await ended;
		},
		halt: async () => {
			await shell.run("systemctl --no-block poweroff", MINUTE);
			await ended;
		},
	};
	try {
		await Promise.race([
			shell.open(patience).then(async () => {
				booted = await bootOf(shell);
			}),
			ended.then(() => {
				throw new Error("QEMU ended before the machine was up");
			}),
		]);
	} catch (error) {
		await guest.kill();
		throw error;
	}
	return guest;
}

/** Which boot it is; nothing when the shell ends while it is asked. */
async function bootOf(shell: Shell): Promise<string> {
	const asked = await shell.answer(`cat ${BOOT_ID}`, 10 * SECOND);
	return asked?.printed.trim() ?? "";
}
