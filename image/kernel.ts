import {
	chmod,
	copyFile,
	mkdir,
	readdir,
	readFile,
	rm,
	symlink,
	writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { run } from "../scripts/run.ts";

const INITRAMFS = join(import.meta.dirname, "initramfs");
/** Drivers of what no receiver of ours has, or that its own software brings: half of the kernel's bytes. */
const LEFT_OUT = [
	...["gpu", "media", "infiniband", "isdn", "staging", "iio", "md"],
	...["firewire", "pcmcia", "accessibility", "comedi", "target", "w1"],
	...["net/wireless", "net/ethernet/mellanox", "net/ethernet/intel"],
	...["net/ethernet/broadcom", "net/ethernet/qlogic", "net/ethernet/chelsio"],
	...["net/ethernet/netronome", "net/ethernet/cavium", "net/ethernet/sfc"],
	...["net/ethernet/brocade", "net/ethernet/emulex", "net/ethernet/cisco"],
	...["net/fddi", "net/hamradio", "net/can", "net/wan", "net/arcnet"],
].map((path) => `drivers/${path}`);
const LEFT_OUT_ELSEWHERE = [
	"sound",
	"fs/ocfs2",
	"fs/gfs2",
	"fs/xfs",
	"fs/btrfs",
];

const APPLETS = [
	...["sh", "mount", "cat", "modprobe", "seq", "grep", "sed", "sleep"],
	...["mkdir", "chroot", "switch_root"],
];
/** The same tree gives the same archive. */
const ARCHIVE = `
find . -exec touch --no-dereference --date="$1" {} +
find . -print0 | LC_ALL=C sort -z | cpio --quiet --null --create --format=newc --reproducible --owner=0:0 | gzip -9n > "$2"
`;

/** Puts the kernel into a root: its modules, and `boot/vmlinuz` and `boot/initrd` for the boot partition. */
export async function addKernel(
	root: string,
	debs: string,
	work: string,
	epoch: number,
): Promise<void> {
	const kernel = join(work, "kernel");
	const busybox = join(work, "busybox");
	await extract(debs, "linux-image-", kernel);
	await extract(debs, "busybox-static_", busybox);
	const [release = ""] = await readdir(join(kernel, "lib/modules"));
	const modules = join(kernel, "lib/modules", release);
	for (const path of [...LEFT_OUT, ...LEFT_OUT_ELSEWHERE])
		await rm(join(modules, "kernel", path), { recursive: true, force: true });
	await run("depmod", ["--basedir", kernel, release]);
	const boot = join(root, "boot");
	await copyFile(
		join(kernel, "boot", `vmlinuz-${release}`),
		join(boot, "vmlinuz"),
	);
	await makeInitramfs(
		kernel,
		release,
		join(busybox, "bin/busybox"),
		work,
		epoch,
	);
	await copyFile(join(work, "initrd"), join(boot, "initrd"));
	for (const name of ["vmlinuz", "initrd"])
		await chmod(join(boot, name), 0o644);
	await mkdir(join(root, "usr/lib/modules"), { recursive: true });
	await run("cp", ["-a", modules, join(root, "usr/lib/modules", release)]);
}

/** Writes `initrd`: busybox, the modules that are named and what they need, and initramfs/init. */
async function makeInitramfs(
	kernel: string,
	release: string,
	busybox: string,
	work: string,
	epoch: number,
): Promise<void> {
	const tree = join(work, "initramfs");
	for (const name of ["bin", "dev", "proc", "sys", "root", "volatile"])
		await mkdir(join(tree, name), { recursive: true });
	const list = await readFile(join(INITRAMFS, "modules"), "utf8");
	const wanted = list.split("\n").filter((line) => /^[a-z]/.test(line));
	const options = ["--dirname", kernel, "--set-version", release];
	const needed = new Set<string>();
	for (const name of wanted) {
		const said = await run("modprobe", [
			...[...options, "--show-depends", name],
		]);
		for (const [, file] of said.matchAll(/^insmod (\S+)/gm))
			if (file !== undefined) needed.add(file.slice(kernel.length + 1));
	}
	for (const path of needed) {
		await mkdir(dirname(join(tree, path)), { recursive: true });
		await copyFile(join(kernel, path), join(tree, path));
	}
	for (const name of [
		"modules.order",
		"modules.builtin",
		"modules.builtin.modinfo",
	])
		await copyFile(
			join(kernel, "lib/modules", release, name),
			join(tree, "lib/modules", release, name),
		);
	await run("depmod", ["--basedir", tree, release]);
	await writeFile(join(tree, "modules"), wanted.join("\n"));
	await copyFile(join(INITRAMFS, "init"), join(tree, "init"));
	await copyFile(busybox, join(tree, "bin/busybox"));
	for (const name of ["init", "bin/busybox"])
		await chmod(join(tree, name), 0o755);
	for (const name of APPLETS) await symlink("busybox", join(tree, "bin", name));
	await run(
		"sh",
		["-ec", ARCHIVE, "sh", `@${epoch}`, join(work, "initrd")],
		tree,
	);
}

async function extract(
	debs: string,
	start: string,
	folder: string,
): Promise<void> {
	const file = (await readdir(debs)).find((name) => name.startsWith(start));
	if (file === undefined) throw new Error(`${start}*.deb was not fetched`);
	await run("dpkg-deb", ["--extract", join(debs, file), folder]);
}
