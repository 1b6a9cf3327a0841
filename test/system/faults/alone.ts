import { join } from "node:path";
import type { Test } from "tap";

/** Why networks cannot be made here, or false. */
export const noNetworks =
	process.getuid?.() !== 0 && "a network of its own takes root";

/** Runs a scene of this folder in a network of its own, which ends with it. */
export async function alone(
	t: Test,
	scene: string,
	...args: readonly string[]
): Promise<void> {
	const own = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
	const file = join(import.meta.dirname, scene);
	await t.spawn("unshare", [...own, process.execPath, file, ...args]);
}
