import {
	chmod,
	mkdir,
	readdir,
	rm,
	symlink,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { run } from "../scripts/run.ts";

const OVERLAY = join(import.meta.dirname, "rootfs");

const UNITS = [
	...["systemd-networkd", "systemd-resolved", "systemd-timesyncd"],
	...["larder-grow", "larder-reset", "larder-slot-good"],
].map((name) => `${name}.service`);
/** They tend what this machine has not: packages, LVM. */
const TIMERS = ["dpkg-db-backup.timer", "e2scrub_all.timer"];
/** What would go to the flash, or wait for a network that nobody here needs. */
const MASKED = [
	...["systemd-networkd-wait-online.service", "e2scrub_reap.service"],
	...["systemd-repart.service", "systemd-pstore.service"],
];

/** A checkout keeps neither owners nor all of a mode. */
const OVERLAY_COPY = `
tar -C "$1" --owner=0 --group=0 --mode=u=rwX,go=rX -cf - . | tar -C "$2" -xf -
`;

/** What of a root is of its making, or is Debian's way to other software. */
const LEFT_OUT = [
	...["etc/machine-id", "etc/hostname", "etc/hosts", "etc/resolv.conf"],
	...["etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/apt"],
	...["etc/.pwd.lock", "etc/subuid-", "etc/subgid-"],
	...["var/lib/dbus", "var/lib/apt", "var/lib/systemd", "var/lib/dpkg/info"],
	...["var/lib/dpkg/status-old", "var/lib/dpkg/available", "var/log"],
	...["var/lib/dpkg/diversions-old", "var/lib/dpkg/statoverride-old"],
	...["var/cache", "var/backups", "var/tmp", "tmp", "run", "boot"],
	...["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale"],
	...["usr/share/lintian", "usr/share/bug", "usr/share/bash-completion"],
	...["usr/share/zsh", "usr/share/common-licenses", "dev"],
];
/** What has to be there to be mounted on, or written to while it runs. */
const EMPTY = [
	...["dev", "proc", "sys", "run", "tmp", "boot", "data", "efi"],
	...["var/lib/larder", "var/lib/systemd", "var/tmp", "var/log", "var/cache"],
];

/**
 * Makes the tree that becomes a root, without a kernel: Debian's packages, the agent's, and the files of rootfs/.
 * @param base what comes from Debian; it is left as it is
 * @param deb the agent's package for arm64
 */
export async function makeRoot(
	base: string,
	root: string,
	deb: string,
): Promise<void> {
	await run("cp", ["-a", base, root]);
	// First, for the agent's user gets its number from there.
	await run("sh", ["-ec", OVERLAY_COPY, "sh", OVERLAY, root]);
	await run("cp", [deb, join(root, "larder.deb")]);
	await run("chroot", [root, "dpkg", "--install", "/larder.deb"]);
	await rm(join(root, "larder.deb"));
	const systemctl = (...args: readonly string[]) =>
		run("systemctl", ["--quiet", `--root=${root}`, ...args]);
	await systemctl("enable", ...UNITS);
	await systemctl("disable", ...TIMERS);
	await systemctl("mask", ...MASKED);
	await systemctl("set-default", "multi-user.target");
	await clean(root);
}

async function clean(root: string): Promise<void> {
	for (const path of LEFT_OUT)
		await rm(join(root, path), { recursive: true, force: true });
	for (const path of EMPTY) await mkdir(join(root, path), { recursive: true });
	for (const path of ["tmp", "var/tmp"]) await chmod(join(root, path), 0o1777);
	await symlink(
		"../run/systemd/resolve/stub-resolv.conf",
		join(root, "etc/resolv.conf"),
	);
	// systemd would take the image for one that was just changed, and prepare it anew at each boot.
	for (const path of ["etc/.updated", "var/.updated"])
		await writeFile(join(root, path), "");
	// The day of a password's change is the day of the build.
	await run("sed", [
		"-i",
		"s/^\\([^:]*:[^:]*\\):[0-9]*/\\1:/",
		join(root, "etc/shadow"),
	]);
	for (const name of await readdir(join(root, "var/lib/dpkg")))
		if (name !== "status")
			await rm(join(root, "var/lib/dpkg", name), { recursive: true });
}
