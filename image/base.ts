import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../scripts/run.ts";

const RELEASE = "bookworm";

/** Beside Debian's essential packages. The last two are what Node and the addons link to. */
const PACKAGES = [
	...["systemd", "systemd-sysv", "systemd-resolved", "systemd-timesyncd"],
	...["udev", "dbus", "kmod", "e2fsprogs", "iproute2", "nftables"],
	...["ca-certificates", "libstdc++6", "libatomic1"],
];
/** Fetched and not installed: the kernel's own installation would make an initramfs, which takes ten minutes under emulation. */
const PARTS = ["grub-efi-arm64-bin", "busybox-static"];
/** The real package of the kernel is what this one depends on. */
const KERNEL = "linux-image-arm64";

/** What comes from Debian. */
export interface Base {
	/** A root with its packages. */
	readonly root: string;
	/** Packages that were fetched, not installed. */
	readonly debs: string;
}

export function baseIn(folder: string): Base {
	return { root: join(folder, "root"), debs: join(folder, "debs") };
}

/**
 * Fetches and installs what comes from Debian: some minutes, for arm64 is emulated. The folder is whole or not there.
 * @param mirror where packages come from; Debian's own mirrors unless given
 */
export async function makeBase(
	folder: string,
	mirror: string | undefined,
): Promise<void> {
	const part = `${folder}.part`;
	await rm(part, { recursive: true, force: true });
	const { root, debs } = baseIn(part);
	await mkdir(debs, { recursive: true });
	await run("mmdebstrap", [
		...["--mode=root", "--architectures=arm64", "--variant=essential"],
		`--include=${PACKAGES.join(",")}`,
		'--aptopt=Acquire::Languages "none"',
		...["doc", "man", "locale", "info"].map(
			(kind) => `--dpkgopt=path-exclude=/usr/share/${kind}/*`,
		),
		"--dpkgopt=force-unsafe-io",
		`--customize-hook=${fetching(debs)}`,
		...[RELEASE, root],
		...(mirror === undefined ? [] : [mirror]),
	]);
	await rm(folder, { recursive: true, force: true });
	await rename(part, folder);
}

/** By the apt of this machine with the settings of the root that is made: its keys, lists and architecture. */
function fetching(debs: string): string {
	const kernel = `$(apt-cache depends ${KERNEL} | sed -n 's/^ *Depends: //p')`;
	return [
		'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"',
		`cd ${debs}`,
		`apt-get -qq -o APT::Sandbox::User=root download ${kernel} ${PARTS.join(" ")}`,
	].join(" && ");
}
