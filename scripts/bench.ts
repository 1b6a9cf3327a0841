// `npm run bench -- NAME [options]` runs scripts/bench/NAME.ts; without a name it lists them.
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const files = globSync("scripts/bench/*.ts", { cwd: ROOT }).toSorted((a, b) =>
	a.localeCompare(b, "en"),
);
const benches = new Map(files.map((file) => [basename(file, ".ts"), file]));
const [name = "", ...options] = process.argv.slice(2);

/** Runs a script as this process would have; ends with it when it fails. */
function run(file: string, args: readonly string[]): void {
	const { status, error } = spawnSync(process.execPath, [file, ...args], {
		cwd: ROOT,
		stdio: "inherit",
	});
	if (error !== undefined) throw error;
	if (status !== 0) process.exit(status ?? 1);
}

const file = benches.get(name);
if (file === undefined) {
	if (name !== "") console.error(`No benchmark is called ${name}.`);
	for (const [bench, path] of benches) {
		const says = /^\/\/ *(.*)$/m.exec(readFileSync(join(ROOT, path), "utf8"));
		console.log(`${bench.padEnd(12)} ${says?.[1] ?? ""}`.trimEnd());
	}
	process.exit(name === "" ? 0 : 2);
}
run("scripts/setup.ts", ["bench"]);
run(file, options);
