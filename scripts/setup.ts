// Makes this machine ready: `node scripts/setup.ts demo|test|bench|image|test:image`. Says nothing when it already is.
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { describe } from "../src/base/errors.ts";
import { prepareArm64 } from "./arm64.ts";
import { run } from "./run.ts";

/** Debian packages by what they are needed for. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
	demo: [],
	test: [
		...["mosquitto", "ffmpeg", "nginx", "chromium", "qemu-user-static"],
		...["nftables", "vlc-bin", "vlc-plugin-base"],
	],
	bench: [
		...["mosquitto", "ffmpeg", "nginx", "chromium", "python3-libtorrent"],
		...["aria2", "syncthing", "iproute2", "wrk"],
	],
	image: [
		...["mmdebstrap", "qemu-user-static", "kmod", "cpio", "squashfs-tools"],
		...["grub-common", "mtools", "dosfstools", "e2fsprogs", "genimage"],
	],
	"test:image": [
		...["qemu-system-arm", "qemu-efi-aarch64", "mtools", "dosfstools"],
		...["squashfs-tools", "mosquitto", "dnsmasq-base", "iproute2"],
	],
};
/** Packages that bring a daemon; tests start their own, on ports of their own. */
const DAEMONS = ["mosquitto", "nginx", "nftables"];
const POLICY = "/usr/sbin/policy-rc.d";
const INSTALL = ["install", "-y", "--no-install-recommends"];

const say = (line: string) => console.log(`setup: ${line}`);

async function missing(packages: readonly string[]): Promise<string[]> {
	if (packages.length === 0) return [];
	// biome-ignore lint/suspicious/noTemplateCurlyInString: this is how dpkg writes it.
	const format = "${Package} ${db:Status-Status}\\n";
	const list = await run("dpkg-query", ["--show", "--showformat", format]);
	const installed = new Set(list.split("\n"));
	return packages.filter((name) => !installed.has(`${name} installed`));
}

/** Installs without starting or enabling a daemon. */
async function install(packages: readonly string[]): Promise<void> {
	// Debian asks this file whether a new service may start: 101 says no.
	const forbid = !existsSync(POLICY);
	if (forbid) await writeFile(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
	const env = { DEBIAN_FRONTEND: "noninteractive" };
	try {
		say("updating package lists");
		await run("apt-get", ["-qq", "update"], undefined, env);
		say(`installing ${packages.join(" ")}`);
		await run("apt-get", ["-qq", ...INSTALL, ...packages], undefined, env);
	} finally {
		if (forbid) await rm(POLICY);
	}
	const daemons = packages.filter((name) => DAEMONS.includes(name));
	if (existsSync("/usr/bin/systemctl") && daemons.length > 0) {
		await run("systemctl", ["--quiet", "disable", ...daemons]);
	}
}

const what = process.argv[2] ?? "";
const packages = PACKAGES[what];
if (packages === undefined) {
	console.error(
		`usage: node scripts/setup.ts ${Object.keys(PACKAGES).join("|")}`,
	);
	process.exit(2);
}
try {
	const absent = await missing(packages);
	if (absent.length > 0 && process.getuid?.() !== 0) {
		const command = `sudo apt-get ${INSTALL.join(" ")} ${absent.join(" ")}`;
		throw new Error(`packages are missing. Install them:\n  ${command}`);
	}
	if (absent.length > 0) await install(absent);
	if (what === "test" || what === "image") await prepareArm64(say);
} catch (error) {
	console.error(`setup: ${describe(error)}`);
	process.exitCode = 1;
}
