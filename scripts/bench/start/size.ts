import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Bytes } from "../../../src/base/units.ts";
import { run } from "../../run.ts";

export interface Size {
	/** Sum of the files. */
	readonly plain: Bytes;
	/** As a tar file after `xz -3`. */
	readonly packed: Bytes;
}

/** Sizes of a file, or of a folder with all that is in it. */
export async function sizeOf(path: string): Promise<Size> {
	// The pipeline fails when any part of it does.
	const script = 'set -o pipefail; tar -C "$0" -cf - "$1" | xz -3 -T1 | wc -c';
	const parts = [dirname(path), basename(path)];
	const packed = Number(await run("bash", ["-c", script, ...parts]));
	return { plain: await plainSize(path), packed };
}

async function plainSize(path: string): Promise<Bytes> {
	const info = await stat(path);
	if (!info.isDirectory()) return info.size;
	const entries = await readdir(path);
	const sizes = entries.map((entry) => plainSize(join(path, entry)));
	return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
