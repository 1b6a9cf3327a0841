import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { run } from "../../scripts/run.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Bundled in place of the box's own entry: uses every addon and prints which are loaded. */
const ADDONS = join(import.meta.dirname, "addons.ts");

/** Bundles the box's own entry, or another, into a folder far from the project's node_modules. */
export async function bundle(
	t: Test,
	target: string,
	entry?: string,
	env?: Readonly<Record<string, string>>,
): Promise<string> {
	const out = await mkdtemp(join(tmpdir(), "larder-bundle-"));
	t.teardown(() => rm(out, { recursive: true }));
	const args = ["build.mjs", "--quiet", "--target", target, "--out", out];
	if (entry !== undefined) args.push("--entry", entry);
	await run(process.execPath, args, ROOT, env);
	return join(out, target);
}

/** Runs a bundle from a folder that has nothing to do with it. */
export function larder(
	folder: string,
	[command, ...first]: readonly [string, ...string[]],
	...args: readonly string[]
): Promise<string> {
	const script = join(folder, "larder.mjs");
	return run(command, [...first, script, ...args], "/");
}

/** Puts all addons of a target's bundle to work. */
export async function tryAddons(
	t: Test,
	target: string,
	node: readonly [string, ...string[]],
): Promise<void> {
	const folder = await bundle(t, target, ADDONS);
	const { addons, ...rest } = JSON.parse(await larder(folder, node));
	const shipped = await readdir(join(folder, "prebuilds", target));
	t.same(rest, { target, length: 1 });
	t.same(new Set(addons), new Set(shipped));
	t.ok(shipped.length >= 6, `${shipped.length} addons`);
}
