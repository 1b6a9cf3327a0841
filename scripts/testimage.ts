// `npm run test:image [-- --soak] [-- --rebuild]`: boots the receiver's image in QEMU, in a neighbourhood of real processes. Debian, as root.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import { describe } from "../src/base/errors.ts";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules/.bin");
const IMAGE = join(ROOT, `dist/image/larder-${pkg.version}-arm64.img`);
/** One line to the receiver, in a network of its own that ends with the last process in it. */
const NETWORK = [
	"ip link set lo up",
	"ip tuntap add tap0 mode tap",
	"ip address add 10.66.0.1/24 dev tap0",
	"ip link set tap0 up",
];
/** What is started there ends with it. */
const ALONE = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
const DHCP = [
	...["dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground", "--port=0"],
	...["--interface=tap0", "--bind-interfaces", "--dhcp-authoritative"],
	...["--dhcp-range=10.66.0.10,10.66.0.20", "--leasefile-ro", "--user=root"],
];

function program(
	command: string,
	args: readonly string[],
	env: Readonly<Record<string, string>> = {},
	how: "SIGTERM" | "SIGKILL" = "SIGTERM",
): Promise<number> {
	const child = spawn(command, args, {
		cwd: ROOT,
		env: {
			...process.env,
			PATH: `${BIN}:${process.env["PATH"]}`,
			...env,
		},
		stdio: ["ignore", "inherit", "inherit"],
	});
	const stop = () => child.kill(how);
	process.once("SIGINT", stop).once("SIGTERM", stop);
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code) => resolve(code ?? 1));
	});
}

async function step(command: string, ...args: string[]): Promise<void> {
	const code = await program(command, args);
	if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ${code}`);
}

const { values } = parseArgs({
	options: {
		/** More power cuts: up to an hour. */
		soak: { type: "boolean", default: false },
		/** Makes the image anew. */
		rebuild: { type: "boolean", default: false },
	},
});
try {
	if (process.getuid?.() !== 0)
		throw new Error("networks are made by root: sudo npm run test:image");
	if (values.rebuild || !existsSync(IMAGE))
		await step("node", "scripts/setup.ts", "image");
	await step("node", "scripts/setup.ts", "test:image");
	await step("node", "build.mjs", "--target", "all", "--quiet");
	if (values.rebuild || !existsSync(IMAGE))
		await step("node", "image/build.ts");
	const tap = [
		...["tap", "--disable-coverage", "--allow-empty-coverage"],
		...["--timeout=4000", "--jobs=1", "--reporter=tap", "test/image/*.test.ts"],
	];
	const script = [
		"set -e",
		...NETWORK,
		`${DHCP.join(" ")} & dhcp=$!`,
		"trap 'kill $dhcp' EXIT",
		tap.join(" "),
	];
	process.exitCode = await program(
		"unshare",
		[...ALONE, "sh", "-c", script.join("\n")],
		{ LARDER_IMAGE: IMAGE, ...(values.soak && { LARDER_SOAK: "yes" }) },
		// unshare hears nothing less, and all that is in there ends with it.
		"SIGKILL",
	);
} catch (error) {
	console.error(describe(error));
	process.exitCode = 1;
}
