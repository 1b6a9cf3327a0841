// `npm run test:crash [-- --seed N --points N | --point N]`: kills an agent at many points of fill, evict, import, scrub and start. As root, for its disk.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { TapReader } from "./tap.ts";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules/.bin");
const TEST = "test/system/crash/crash.test.ts";
const TAP = ["--disable-coverage", "--allow-empty-coverage", "--reporter=tap"];

const { values } = parseArgs({
	options: {
		/** The same one chooses the same points. */
		seed: { type: "string", default: `${Date.now() % 100_000}` },
		points: { type: "string", default: "100" },
		/** The number of one of them: the box is killed there and nowhere else, unless it is a start after another kill. */
		point: { type: "string" },
	},
});

/** Runs a program of the project; whether it went well. */
async function program(
	command: string,
	args: readonly string[],
	onLine?: (line: string) => void,
): Promise<boolean> {
	const child = spawn(command, args, {
		cwd: ROOT,
		env: {
			...process.env,
			PATH: `${BIN}:${process.env["PATH"]}`,
			LARDER_CRASH_SEED: values.seed,
			LARDER_CRASH_POINTS: values.points,
			...(values.point !== undefined && { LARDER_CRASH_POINT: values.point }),
		},
		stdio: ["ignore", onLine === undefined ? "inherit" : "pipe", "inherit"],
	});
	const end = new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	});
	if (onLine !== undefined && child.stdout !== null)
		createInterface(child.stdout).on("line", onLine);
	return (await end) === 0;
}

async function crash(): Promise<boolean> {
	if (process.getuid?.() !== 0) {
		console.error("a disk is made by root: sudo npm run test:crash");
		return false;
	}
	const isReady =
		(await program("node", ["scripts/setup.ts", "test"])) &&
		(await program("node", ["build.mjs", "--target", "all", "--quiet"]));
	if (!isReady) return false;
	const { seed, points, point } = values;
	const which = point === undefined ? `--points ${points}` : `--point ${point}`;
	const again = `npm run test:crash -- --seed ${seed} ${which}`;
	console.log(`the same again: ${again}`);
	const reader = new TapReader(console.log);
	const isWell = await program(
		"tap",
		[...TAP, "--timeout=7200", TEST],
		(line) => {
			const [, said] = /^ *# point (.*)$/.exec(line) ?? [];
			if (said !== undefined) console.log(said);
			else reader.line(line);
		},
	);
	const isTested = reader.tally.passed > 0 && reader.tally.failed === 0;
	if (isWell && isTested) return true;
	console.log(`FAILED; the same again: ${again}`);
	return false;
}

process.exitCode = (await crash()) ? 0 : 1;
