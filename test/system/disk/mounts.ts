// Real file systems of a test's own, small enough to fill. They take root; where there is none, the tests say so and are skipped,
// which scripts/test.ts does not let pass under CI.
import {
	mkdir,
	mkdtemp,
	readdir,
	rm,
	stat,
	truncate,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Test } from "tap";
import { run } from "../../../scripts/run.ts";
import type { Bytes } from "../../../src/base/units.ts";

export const skip =
	process.getuid?.() !== 0 && "a file system of its own takes root";

const UNIT: Bytes = 4096;

export interface Disk {
	/** Where it is mounted. */
	readonly dir: string;
	/** What lies below it. */
	readonly image: string;
	readonly size: Bytes;
	/** The name of its block device. */
	readonly device: string;
}

/**
 * An ext4 of so many bytes, unmounted after the test. What fails on it makes it read-only, as on receivers.
 * @param below where its image lies
 */
export async function ext4(
	t: Test,
	size: Bytes,
	below = tmpdir(),
): Promise<Disk> {
	const root = await mkdtemp(join(below, "larder-disk-"));
	t.teardown(() => rm(root, { recursive: true, force: true }));
	const image = join(root, "image");
	const dir = join(root, "mount");
	await mkdir(dir);
	await writeFile(image, "");
	await truncate(image, size);
	const how = ["-q", "-t", "ext4", "-m", "0", "-b", `${UNIT}`];
	await run("mke2fs", [...how, image]);
	await run("mount", ["-o", "loop,errors=remount-ro", image, dir]);
	t.teardown(() => run("umount", ["--lazy", dir]));
	const source = await run("findmnt", ["-no", "SOURCE", dir]);
	return { dir, image, size, device: basename(source.trim()) };
}

/** Unmounts and mounts again, so that nothing of it is in memory, and the image has its size. */
export async function remount({ dir, image, size }: Disk): Promise<void> {
	await run("umount", [dir]);
	await truncate(image, size);
	await run("mount", ["-o", "loop,errors=remount-ro", image, dir]);
}

/** Where the first block of a file lies in the image. */
export async function placeOf({ image }: Disk, path: string): Promise<Bytes> {
	const said = await run("debugfs", ["-R", `blocks ${path}`, image]);
	const blocks = said.trim().split(/\s+/).map(Number);
	return Math.min(...blocks) * UNIT;
}

/** A tmpfs of so many bytes, unmounted after the test. */
export async function tmpfs(
	t: Test,
	size: Bytes,
	options = "",
): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "larder-tmpfs-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const how = `size=${size}${options}`;
	await run("mount", ["-t", "tmpfs", "-o", how, "larder", dir]);
	t.teardown(() => run("umount", ["--lazy", dir]));
	return dir;
}

/** Bytes that a folder and all below it take on the disk, whatever is going on there. */
export async function taken(folder: string): Promise<Bytes> {
	const unlessGone = (error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return undefined;
		throw error;
	};
	const entries = await readdir(folder, { withFileTypes: true }).catch(
		unlessGone,
	);
	let bytes = 0;
	for (const entry of entries ?? []) {
		const path = join(folder, entry.name);
		bytes += ((await stat(path).catch(unlessGone))?.blocks ?? 0) * 512;
		if (entry.isDirectory()) bytes += await taken(path);
	}
	return bytes;
}
