// `npm run image`: the firmware of a receiver, as a disk and as what an update brings, in dist/image. Debian, as root.
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import lock from "../package-lock.json" with { type: "json" };
import { run } from "../scripts/run.ts";
import { describe } from "../src/base/errors.ts";
import { formatBytes } from "../src/base/units.ts";
import { baseIn, makeBase } from "./base.ts";
import { runArm64 } from "./binfmt.ts";
import { checkRoot } from "./check.ts";
import { makeDisk, squash } from "./disk.ts";
import { addKernel } from "./kernel.ts";
import { makeRoot } from "./root.ts";
import { readBundled, readStanzas, sbom } from "./sbom.ts";

const ROOT = join(import.meta.dirname, "..");
const OUT = join(ROOT, "dist/image");
const BASE = join(OUT, "cache/base");

const began = performance.now();

function say(line: string): void {
	const seconds = Math.round((performance.now() - began) / 1000);
	console.log(`${`${seconds}`.padStart(5)} s  ${line}`);
}

/** Builds everything below `out`; gives the hash of each file. */
async function build(
	out: string,
	version: string,
	epoch: number,
): Promise<Map<string, string>> {
	const name = `larder-${version}-arm64`;
	const work = join(out, "work");
	await rm(work, { recursive: true, force: true });
	await mkdir(work, { recursive: true });
	const { root: from, debs } = baseIn(BASE);
	say("the agent's package");
	const env = { SOURCE_DATE_EPOCH: `${epoch}` };
	const how = ["--arch", "arm64", "--package", "larder", "--fast"];
	const deb = join(work, `larder_${version}_arm64.deb`);
	await run(
		"node",
		["scripts/deb.ts", ...how, "--release", version, "--out", work],
		ROOT,
		env,
	);
	say("root");
	const root = join(work, "root");
	await makeRoot(from, root, deb);
	await addKernel(root, debs, work, epoch);
	await checkRoot(root);
	say("squashfs");
	await squash(root, join(out, `${name}.squashfs`), epoch);
	say("disk");
	await makeDisk({ name, out, root, debs, work, epoch });
	const status = await readFile(join(root, "var/lib/dpkg/status"), "utf8");
	const licenses = join(root, "usr/lib/larder/agent/licenses.txt");
	const bom = sbom({
		...{ version, epoch },
		debian: [...readStanzas(status), ...(await fetched(debs))],
		bundled: readBundled(await readFile(licenses, "utf8")),
		locked: lock.packages,
	});
	await writeFile(join(out, `${name}.cdx.json`), bom);
	const hashes = new Map<string, string>();
	for (const ending of ["img", "squashfs", "cdx.json"]) {
		const file = `${name}.${ending}`;
		hashes.set(file, await hashOf(join(out, file)));
	}
	await rm(work, { recursive: true });
	return hashes;
}

/** Packages of which a part is inside without being installed. */
async function fetched(debs: string) {
	const list = await run(
		"sh",
		["-c", 'for each in *.deb; do dpkg-deb --field "$each"; echo; done'],
		debs,
	);
	return readStanzas(list);
}

async function hashOf(file: string): Promise<string> {
	const hash = createHash("sha256");
	await pipeline(createReadStream(file), hash);
	return hash.digest("hex");
}

async function changedAt(): Promise<number> {
	const { SOURCE_DATE_EPOCH } = process.env;
	if (SOURCE_DATE_EPOCH !== undefined) return Number(SOURCE_DATE_EPOCH);
	return Number(await run("git", ["log", "-1", "--format=%ct"], ROOT));
}

const { values } = parseArgs({
	options: {
		release: { type: "string", default: pkg.version },
		/** Builds everything two times, and fails unless both are the same. */
		twice: { type: "boolean", default: false },
		/** Takes what came from Debian for the last image. */
		again: { type: "boolean", default: false },
		mirror: { type: "string" },
	},
});

async function fresh(): Promise<void> {
	if (values.again && existsSync(BASE)) return;
	say("Debian's packages: some minutes");
	await makeBase(BASE, values.mirror);
}

async function main(): Promise<void> {
	const { release } = values;
	if (process.getuid?.() !== 0)
		throw new Error("a root file system is made by root: sudo npm run image");
	process.umask(0o022);
	const epoch = await changedAt();
	await mkdir(OUT, { recursive: true });
	const undo = await runArm64();
	try {
		await fresh();
		const hashes = await build(OUT, release, epoch);
		if (values.twice) {
			say("once more");
			await fresh();
			const second = join(OUT, "second");
			const again = await build(second, release, epoch);
			for (const [file, hash] of hashes)
				if (again.get(file) !== hash)
					throw new Error(`${file} is another the second time: see ${second}`);
			await rm(second, { recursive: true });
			say("both are the same");
		}
		const lines = [...hashes].map(([file, hash]) => `${hash}  ${file}\n`);
		await writeFile(
			join(OUT, `larder-${release}-arm64.sha256`),
			lines.join(""),
		);
		for (const file of hashes.keys()) {
			const path = join(OUT, file);
			const { size, blocks } = await stat(path);
			const used = formatBytes(blocks * 512);
			say(
				`${relative(process.cwd(), path)}  ${formatBytes(size)}, ${used} on disk`,
			);
		}
	} finally {
		await undo();
	}
}

try {
	await main();
} catch (error) {
	console.error(describe(error));
	process.exitCode = 1;
}
