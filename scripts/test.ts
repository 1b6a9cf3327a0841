// `npm test`: everything. `npm test -- check`, `-- unit`, `-- system/fill`, `-- store gateway/range`: a part of it.
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { TapReader } from "./tap.ts";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules/.bin");
const say = (line: string) => console.log(line);

const ENVIRONMENT = {
	...process.env,
	// The pinned Node comes before this machine's own.
	PATH: `${BIN}${delimiter}${process.env["PATH"]}`,
	// Hundreds of processes read the same source: what one has compiled the others need not.
	NODE_COMPILE_CACHE: join(ROOT, "dist/compiled"),
};

interface Step {
	readonly name: string;
	/** Whether it went well. */
	readonly run: () => Promise<boolean>;
}

/** Runs a program of the project without a standard input; whether it went well. `onLine` takes its output instead of the terminal. */
async function program(
	command: string,
	args: readonly string[],
	onLine?: (line: string) => void,
): Promise<boolean> {
	const child = spawn(command, args, {
		cwd: ROOT,
		env: ENVIRONMENT,
		stdio: ["ignore", onLine === undefined ? "inherit" : "pipe", "inherit"],
	});
	const end = new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	});
	if (onLine !== undefined && child.stdout !== null) {
		createInterface(child.stdout).on("line", onLine);
	}
	return (await end) === 0;
}

const reader = new TapReader(say);

/** Files of which a test failed beside others and passed when it ran again, alone. */
const unstable: string[] = [];
/** More files than that do not fail for want of time. */
const AGAIN = 4;

/** Runs tests, and once more, one by one, the few that failed: a machine that others load must not fail them, and a fault shows twice. */
async function tests(
	files: readonly string[],
	options: readonly string[],
): Promise<boolean> {
	if (await tap(files, options)) return true;
	const failed = reader.failed(files);
	if (failed.length === 0) crashed.push("tap itself, see above");
	if (failed.length === 0 || failed.length > AGAIN) return false;
	say(`  once more, alone: ${failed.join(", ")}`);
	await tap(failed, [...options, "--jobs=1"]);
	const still = reader.failed(failed);
	unstable.push(...failed.filter((file) => !still.includes(file)));
	return still.length === 0;
}

const crashed: string[] = [];

function tap(
	files: readonly string[],
	options: readonly string[],
): Promise<boolean> {
	const args = ["--disable-coverage", "--allow-empty-coverage"];
	return program(
		"tap",
		[...args, "--reporter=tap", ...options, ...files],
		(line) => reader.line(line),
	);
}

/** Those of the image take half an hour of emulation: `npm run test:image`. */
const all = globSync("test/**/*.test.ts", {
	cwd: ROOT,
	exclude: ["test/image/**"],
}).toSorted((a, b) => a.localeCompare(b, "en"));
const isSystem = (file: string) => file.startsWith("test/system/");
const among = (names: readonly string[]) => (file: string) =>
	names.some((name) => file.startsWith(`test/system/${name}`));
/** Those that measure what a neighbourhood does that is left in peace: pictures that stand still, bytes in half a second. */
const isAlone = among([
	...["crowd", "faults/", "faults-neighbours", "hostile/purge"],
	...["household/household", "near", "players", "quality", "standby", "title"],
]);
/** Those that wait longest begin first. */
const isLong = among([
	...["demo", "disk/agent", "hostile/keys", "hostile/neighbour"],
	...["hostile/origin", "stick"],
]);

/** The test files that an argument names: `unit`, `system`, or the start of a path below test/. */
function chosen(argument: string): string[] {
	if (argument === "unit") return all.filter((file) => !isSystem(file));
	const start = `test/${argument.replace(/^(\.\/)?test\//, "")}`;
	return all.filter((file) => file.startsWith(start));
}

/** The tests in the folder that an argument names, or else all folders. */
function beside(argument: string): string[] {
	const folder = dirname(join("test", argument));
	const files = all.filter((file) => dirname(file) === folder);
	const isFolder = folder !== "test" && files.length > 0;
	return isFolder ? files : [...new Set(all.map((file) => dirname(file)))];
}

const setup: Step = {
	name: "setup",
	run: () => program("node", ["scripts/setup.ts", "test"]),
};
const check: Step = {
	name: "check",
	run: async () => {
		const style = await program("biome", [
			...["check", "--error-on-warnings", "."],
		]);
		return (await program("tsc", [])) && style;
	},
};
const build: Step = {
	name: "build",
	run: () => program("node", ["build.mjs", "--target", "all"]),
};

/** The tests of these files: side by side, more than there are cores, for most wait more than they work; but those that measure one by one. */
function testSteps(files: readonly string[]): Step[] {
	const unit = files.filter((file) => !isSystem(file));
	const system = files.filter(isSystem);
	const alone = system.filter(isAlone);
	const company = system
		.filter((file) => !isAlone(file))
		.toSorted((a, b) => Number(isLong(b)) - Number(isLong(a)));
	const steps = [
		{ name: "unit", files: unit, options: ["--timeout=240", "--jobs=4"] },
		{ name: "alone", files: alone, options: ["--timeout=600", "--jobs=1"] },
		{ name: "company", files: company, options: ["--timeout=600", "--jobs=3"] },
	];
	return steps
		.filter((step) => step.files.length > 0)
		.map((step) => ({
			name: step.name,
			run: () => tests(step.files, step.options),
		}));
}

function plan(wanted: readonly string[]): Step[] {
	if (wanted.length === 0) return [setup, check, build, ...testSteps(all)];
	const named = [setup, check, build].filter(({ name }) =>
		wanted.includes(name),
	);
	const rest = wanted.filter(
		(argument) => !named.some(({ name }) => name === argument),
	);
	for (const argument of rest) {
		if (chosen(argument).length > 0) continue;
		console.error(
			`No test is called ${argument}; there are ${beside(argument).join(", ")}.`,
		);
		process.exit(2);
	}
	if (rest.length === 0) return named;
	const files = new Set(rest.flatMap(chosen));
	const before = [setup, check, build].filter(
		(step) => step !== check || named.includes(check),
	);
	return [...before, ...testSteps([...files])];
}

const steps = plan(process.argv.slice(2));
const summary: string[] = [];
let well = true;
for (const { name, run } of steps) {
	say(`\n== ${name}`);
	const began = performance.now();
	const ok = await run();
	const seconds = ((performance.now() - began) / 1000).toFixed(1);
	summary.push(
		`${name.padEnd(8)}${ok ? "ok" : "FAILED"}${seconds.padStart(ok ? 9 : 5)} s`,
	);
	well &&= ok;
	// Without its tools and bundles, nothing that follows says anything.
	if (!ok && (name === "setup" || name === "build")) break;
}

const { tally } = reader;
const failures = [...reader.failures, ...crashed];
const tested = steps.some((step) => ![setup, check, build].includes(step));
if (process.env["CI"] !== undefined && tally.skipped > 0) {
	say(`\n${tally.skipped} skipped, which is not allowed under CI`);
	well = false;
}
if (tested && tally.passed + tally.failed === 0) well = false;
say(`\n== summary\n${summary.join("\n")}`);
for (const failure of failures) say(`failed: ${failure}`);
for (const file of unstable)
	say(`UNSTABLE: ${file} failed beside others, and passed alone`);
if (tally.skipped > 0) say(`${tally.skipped} skipped`);
// A step that fails without a failing test is a failure, too: the last line never says 0 failed when the run did.
const failed = well ? tally.failed : Math.max(1, tally.failed);
say(`${tally.passed} passed, ${failed} failed`);
process.exitCode = well ? 0 : 1;
