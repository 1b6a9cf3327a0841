import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	truncate,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { run } from "../scripts/run.ts";
import { type Bytes, MiB } from "../src/base/units.ts";

const BOOT: Bytes = 160 * MiB;
/** As it is flashed. It may grow to a thousand times that, and has a journal for it. */
const DATA: Bytes = 96 * MiB;
const LARGEST_DATA: Bytes = 4 * 1024 * 1024 * MiB;
const BLOCK: Bytes = 4096;
const DATA_UUID = "6c617264-6572-4000-8000-0000000000da";

/** What GRUB is made of: to find its files, to read a slot and to count. */
const GRUB_MODULES = [
	...["part_gpt", "fat", "normal", "linux", "loadenv", "test", "eval", "true"],
	...["echo", "sleep", "reboot", "gzio", "boot", "configfile"],
];
const NOTE = `What an operator says to this receiver, read at each boot:
enrol.json      the claim by which it is let in
operator.toml   settings over those of /etc/larder/larder.toml
serial          its serial number, where the firmware does not know it
factory-reset   an empty file: the next boot removes shards, keys and history
`;

export interface Disk {
	/** Of the image; `<name>.squashfs` lies in `out` already, `<name>.img` is put there. */
	readonly name: string;
	readonly out: string;
	/** The root that the squashfs was made of. */
	readonly root: string;
	readonly debs: string;
	readonly work: string;
	/** Unix seconds of all that is made. */
	readonly epoch: number;
}

/** The root, read-only as a slot holds it. */
export async function squash(
	root: string,
	file: string,
	epoch: number,
): Promise<void> {
	await rm(file, { force: true });
	await run("mksquashfs", [
		...[root, file, "-noappend", "-no-progress", "-quiet"],
		...["-comp", "zstd", "-Xcompression-level", "15", "-b", "256K"],
		...["-mkfs-time", `${epoch}`, "-all-time", `${epoch}`],
	]);
}

/** Puts the disk together. */
export async function makeDisk(disk: Disk): Promise<void> {
	const { name, out, work } = disk;
	const env = {
		SOURCE_DATE_EPOCH: `${disk.epoch}`,
		E2FSPROGS_FAKE_TIME: `${disk.epoch}`,
	};
	await makeBoot(disk, env);
	await makeData(work, env);
	const config = join(work, "genimage.cfg");
	const text = await readFile(
		join(import.meta.dirname, "genimage.cfg"),
		"utf8",
	);
	await writeFile(config, text.replaceAll("@NAME@", name));
	const empty = join(work, "empty");
	await mkdir(empty);
	await run("ln", ["-f", join(out, `${name}.squashfs`), work]);
	await run(
		"genimage",
		[
			...["--config", config, "--rootpath", empty],
			...["--inputpath", work, "--outputpath", join(work, "img")],
			...["--tmppath", join(work, "genimage")],
		],
		work,
		env,
	);
	await rename(join(work, "img", `${name}.img`), join(out, `${name}.img`));
}

/** The boot partition: GRUB, what it counts, the first slot's kernel, and a folder for the operator. */
async function makeBoot(
	{ root, debs, work, epoch }: Disk,
	env: Readonly<Record<string, string>>,
): Promise<void> {
	const grub = join(work, "grub");
	const deb = (await readdir(debs)).find((file) =>
		file.startsWith("grub-efi-"),
	);
	if (deb === undefined) throw new Error("GRUB was not fetched");
	await run("dpkg-deb", ["--extract", join(debs, deb), grub]);
	const efi = join(work, "BOOTAA64.EFI");
	await run("grub-mkimage", [
		...["--directory", join(grub, "usr/lib/grub/arm64-efi")],
		...["--format", "arm64-efi", "--prefix", "/grub", "--output", efi],
		...GRUB_MODULES,
	]);
	const grubenv = join(work, "grubenv");
	const note = join(work, "README.txt");
	const start = "# GRUB Environment Block\nnewest=a\n";
	await writeFile(grubenv, start.padEnd(1024, "#"));
	await writeFile(note, NOTE.replaceAll("\n", "\r\n"));
	const file = join(work, "boot.vfat");
	await writeFile(file, "");
	await truncate(file, BOOT);
	await run("mkfs.vfat", [
		...["-F", "32", "-n", "LARDERBOOT", "-i", "6c617264", "--invariant"],
		file,
	]);
	const folders = ["EFI", "EFI/BOOT", "grub", "a", "b", "larder"];
	await run(
		"mmd",
		["-i", file, ...folders.map((path) => `::/${path}`)],
		work,
		env,
	);
	// In this order, so that each build lays them out alike.
	for (const [from, to] of [
		[grubenv, "grub/grubenv"],
		[join(import.meta.dirname, "grub.cfg"), "grub/grub.cfg"],
		[efi, "EFI/BOOT/BOOTAA64.EFI"],
		[join(root, "boot/vmlinuz"), "a/vmlinuz"],
		[join(root, "boot/initrd"), "a/initrd"],
		[note, "larder/README.txt"],
	] as const) {
		await run("touch", [`--date=@${epoch}`, from]);
		await run("mcopy", ["-m", "-i", file, from, `::/${to}`], work, env);
	}
}

/** Empty: rootfs/usr/lib/larder-image/early fills it. */
async function makeData(
	work: string,
	env: Readonly<Record<string, string>>,
): Promise<void> {
	const file = join(work, "data.ext4");
	await writeFile(file, "");
	await truncate(file, DATA);
	await run(
		"mke2fs",
		[
			...["-q", "-t", "ext4", "-b", `${BLOCK}`, "-m", "1"],
			...["-L", "larder-data", "-U", DATA_UUID, "-J", "size=16"],
			...["-E", `resize=${LARGEST_DATA / BLOCK},hash_seed=${DATA_UUID}`],
			file,
		],
		work,
		env,
	);
}
