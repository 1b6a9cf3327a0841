// `npm run deb`: Debian packages of the agent (larder) and of the headend (larder-headend) in dist/deb, with all that they run inside.
import {
	chmod,
	copyFile,
	cp,
	mkdir,
	readFile,
	rename,
	rm,
	writeFile,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import pkg from "../package.json" with { type: "json" };
import lock from "../package-lock.json" with { type: "json" };
import { describe } from "../src/base/errors.ts";
import { formatBytes } from "../src/base/units.ts";
import { boxConfig, INSTALLED } from "../src/headend/operator/boxconfig.ts";
import { ARM64_RUNTIME, prepareArm64 } from "./arm64.ts";
import { run } from "./run.ts";

const ROOT = join(import.meta.dirname, "..");
const PARTS = join(import.meta.dirname, "deb");
const UNITS = join(ROOT, "systemd");

const ARCHS = { amd64: "linux-x64", arm64: "linux-arm64" } as const;
type Arch = keyof typeof ARCHS;

interface Package {
	readonly name: string;
	readonly description: string;
	readonly more: string;
	/** Started when the package is new, as its preset says, and again when it is upgraded. */
	readonly units: readonly string[];
	readonly conffiles: readonly string[];
	/** Puts what is special to it below a folder that becomes the machine's root. */
	readonly stage: (root: string, arch: Arch) => Promise<void>;
}

const PACKAGES: readonly Package[] = [
	{
		name: "larder",
		description:
			"agent that makes a TV receiver's disk part of its neighbourhood's store",
		more: "Keeps encrypted shards of an operator's titles, serves neighbouring boxes, and plays from them.",
		units: [
			...["larder-agent.service", "larder-dscp.service"],
			...["larder-sleep.service", "larder-bootstrap.service"],
		],
		conffiles: ["/etc/larder/larder.toml", "/etc/larder/bootstrap.env"],
		stage: stageAgent,
	},
	{
		name: "larder-headend",
		description: "an operator's service for a store that lies on TV receivers",
		more: "Publishes titles, plans which box holds what, and shows how it stands.",
		units: ["larder-headend.service"],
		conffiles: [],
		stage: stageHeadend,
	},
];

async function stageAgent(root: string, arch: Arch): Promise<void> {
	const lib = join(root, "usr/lib/larder");
	const target = ARCHS[arch];
	// One folder a target; the package has one.
	const out = ["--target", target, "--out", join(lib, "bundle")];
	const args = [...out, "--release", values.release, "--quiet"];
	await run("node", ["build.mjs", ...args], ROOT);
	await rename(join(lib, "bundle", target), join(lib, "agent"));
	await rm(join(lib, "bundle"), { recursive: true });
	await put(runtimeOf(arch), join(lib, "node"), 0o755);
	await put(join(UNITS, "launch"), join(lib, "launch"), 0o755);
	await put(join(UNITS, "dscp.nft"), join(lib, "dscp.nft"));
	const nowhere = {
		swarm: { bootstrap: [] },
		broker: { url: "" },
		origin: { url: "" },
	};
	const etc = join(root, "etc/larder");
	await mkdir(join(etc, "larder.toml.d"), { recursive: true });
	await writeFile(join(etc, "larder.toml"), boxConfig(nowhere, INSTALLED));
	await put(join(PARTS, "bootstrap.env"), join(etc, "bootstrap.env"));
}

async function stageHeadend(root: string, arch: Arch): Promise<void> {
	const lib = join(root, "usr/lib/larder-headend");
	await cp(join(ROOT, "src"), join(lib, "src"), { recursive: true });
	await put(join(ROOT, "package.json"), join(lib, "package.json"));
	await put(runtimeOf(arch), join(lib, "node"), 0o755);
	for (const [path, entry] of Object.entries(lock.packages)) {
		if (path === "" || isOfTheDesk(entry)) continue;
		const from = join(ROOT, path);
		// What a package of its own brings comes with its own entry.
		const filter = (file: string) =>
			!file.startsWith(join(from, "node_modules")) && isFor(ARCHS[arch], file);
		await cp(from, join(lib, path), { recursive: true, filter });
	}
}

/** Only for building and testing, or for one processor. */
function isOfTheDesk(entry: object): boolean {
	return "dev" in entry || "optional" in entry || "devOptional" in entry;
}

/** Addons come for every platform there is. */
function isFor(target: string, file: string): boolean {
	const platform = /\/prebuilds\/([^/]+)/.exec(file)?.[1];
	return platform === undefined || platform === target;
}

function runtimeOf(arch: Arch): string {
	if (ARCHS[arch] === `${process.platform}-${process.arch}`)
		return process.execPath;
	if (arch === "arm64") return ARM64_RUNTIME;
	throw new Error(`there is no Node for ${arch} here`);
}

/** Builds one package; gives the path of its file. */
async function build(
	{ name, description, more, units, conffiles, stage }: Package,
	arch: Arch,
	out: string,
	compression: readonly string[],
): Promise<string> {
	const root = join(out, `${name}_${arch}`);
	await rm(root, { recursive: true, force: true });
	await mkdir(root, { recursive: true });
	await stage(root, arch);
	await put(join(PARTS, `${name}.wrapper`), join(root, "usr/bin", name), 0o755);
	for (const unit of units)
		await put(join(UNITS, unit), join(root, "lib/systemd/system", unit));
	for (const [kind, folder] of [
		["sysusers", "usr/lib/sysusers.d"],
		["tmpfiles", "usr/lib/tmpfiles.d"],
		["preset", "usr/lib/systemd/system-preset"],
	] as const) {
		const file = kind === "preset" ? `90-${name}.preset` : `${name}.conf`;
		await put(join(UNITS, `${name}.${kind}`), join(root, folder, file));
	}
	const doc = join(root, "usr/share/doc", name);
	await put(join(ROOT, "README.md"), join(doc, "README.md"));
	await put(join(ROOT, "LICENSE"), join(doc, "copyright"));
	const changes = `${name} (${values.release}) stable; urgency=medium\n`;
	await writeFile(join(doc, "changelog.gz"), gzipSync(changes, { level: 9 }));

	const control = join(root, "DEBIAN");
	const size = await run("du", [
		"-sk",
		"--apparent-size",
		"--exclude=DEBIAN",
		root,
	]);
	await mkdir(control);
	await writeFile(
		join(control, "control"),
		[
			`Package: ${name}`,
			`Version: ${values.release}`,
			`Architecture: ${arch}`,
			"Maintainer: Larder <larder@localhost>",
			`Installed-Size: ${Number.parseInt(size, 10)}`,
			"Depends: libc6 (>= 2.34), libstdc++6 (>= 12), libgcc-s1, libatomic1, systemd (>= 252)",
			"Recommends: nftables",
			"Section: video",
			"Priority: optional",
			`Description: ${description}`,
			` ${more}`,
			"",
		].join("\n"),
	);
	if (conffiles.length > 0)
		await writeFile(join(control, "conffiles"), `${conffiles.join("\n")}\n`);
	for (const script of ["postinst", "prerm", "postrm"]) {
		const text = await readFile(join(PARTS, script), "utf8");
		const filled = text
			.replaceAll("@NAME@", name)
			.replaceAll("@UNITS@", units.join(" "));
		await writeFile(join(control, script), filled, { mode: 0o755 });
	}
	const file = join(out, `${name}_${values.release}_${arch}.deb`);
	await run(
		"dpkg-deb",
		["--root-owner-group", ...compression, "--build", root, file],
		ROOT,
		// The same sources give the same package.
		{ SOURCE_DATE_EPOCH: await changedAt() },
	);
	await rm(root, { recursive: true });
	return file;
}

async function changedAt(): Promise<string> {
	const given = process.env["SOURCE_DATE_EPOCH"];
	if (given !== undefined) return given;
	return (await run("git", ["log", "-1", "--format=%ct"], ROOT)).trim();
}

async function put(from: string, to: string, mode = 0o644): Promise<void> {
	await mkdir(dirname(to), { recursive: true });
	await copyFile(from, to);
	await chmod(to, mode);
}

const { values } = parseArgs({
	options: {
		arch: { type: "string", default: "all" },
		package: { type: "string", default: "all" },
		out: { type: "string", default: join(ROOT, "dist/deb") },
		release: { type: "string", default: pkg.version },
		/** A package for a test need not be small. */
		fast: { type: "boolean", default: false },
	},
});
const archs = (Object.keys(ARCHS) as Arch[]).filter((arch) =>
	["all", arch].includes(values.arch),
);
const packages = PACKAGES.filter(({ name }) =>
	["all", name].includes(values.package),
);
if (archs.length * packages.length === 0) {
	console.error(
		"node scripts/deb.ts [--arch amd64|arm64] [--package larder|larder-headend] [--out FOLDER] [--release VERSION] [--fast]",
	);
	process.exit(2);
}
try {
	if (archs.includes("arm64")) await prepareArm64((line) => console.log(line));
	for (const arch of archs)
		for (const one of packages) {
			const compression = values.fast ? ["-Zzstd", "-z1"] : ["-Zxz"];
			const file = await build(one, arch, values.out, compression);
			const { length } = await readFile(file);
			console.log(`${relative(process.cwd(), file)}  ${formatBytes(length)}`);
		}
} catch (error) {
	console.error(describe(error));
	process.exitCode = 1;
}
