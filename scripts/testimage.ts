// `npm run test:image [-- --soak] [-- --rebuild]`: boots the receiver's image in QEMU, in a neighbourhood of real processes. Debian, as root.
import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
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
	...[
		"--dhcp-range=10.66.0.10,10.66.0.20",
		"--leasefile-ro",
		"--pid-file=",
		"--user=root",
	],
];

interface ProgramOptions {
	readonly env?: Readonly<Record<string, string>>;
	readonly how?: "SIGTERM" | "SIGKILL";
	/** Takes what it says on its standard output. */
	readonly said?: Buffer[];
}

function program(
	command: string,
	args: readonly string[],
	{ env = {}, how = "SIGTERM", said }: ProgramOptions = {},
): Promise<number> {
	const child = spawn(command, args, {
		cwd: ROOT,
		env: {
			...process.env,
			PATH: `${BIN}:${process.env["PATH"]}`,
			...env,
		},
		stdio: ["ignore", said === undefined ? "inherit" : "pipe", "inherit"],
	});
	child.stdout?.on("data", (bytes: Buffer) => said?.push(bytes));
	const stop = () => child.kill(how);
	process.once("SIGINT", stop).once("SIGTERM", stop);
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code) => resolve(code ?? 1));
	});
}

/** Runs one test in a network of its own. What it says comes at its end, its timeline at once. */
async function runTest(
	file: string,
	env: Readonly<Record<string, string>>,
): Promise<number> {
	const tap = [
		...["tap", "--disable-coverage", "--allow-empty-coverage"],
		...["--timeout=4000", "--reporter=tap", file],
	];
	const script = [
		"set -e",
		...NETWORK,
		`${DHCP.join(" ")} & dhcp=$!`,
		"trap 'kill $dhcp' EXIT",
		tap.join(" "),
	];
	const said: Buffer[] = [];
	const args = [...ALONE, "sh", "-c", script.join("\n")];
	// unshare hears nothing less than SIGKILL, and all that is in there ends with it.
	const code = await program("unshare", args, { env, how: "SIGKILL", said });
	process.stdout.write(Buffer.concat(said));
	return code;
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
	const env = {
		LARDER_IMAGE: IMAGE,
		...(values.soak && { LARDER_SOAK: "yes" }),
	};
	// Side by side, each with a receiver and a neighbourhood of its own: one emulated machine keeps one core busy.
	const tests = globSync("test/image/*.test.ts", { cwd: ROOT });
	const codes = await Promise.all(tests.map((file) => runTest(file, env)));
	process.exitCode = Math.max(...codes);
} catch (error) {
	console.error(describe(error));
	process.exitCode = 1;
}
