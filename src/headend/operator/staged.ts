import {
	type FileHandle,
	mkdtemp,
	open,
	readdir,
	rename,
	rm,
	rmdir,
} from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/errors.ts";
import { syncFolder } from "./file.ts";

const NEXT = "next";
const DRAFT = ".draft-";

/**
 * Replaces files of a folder of keys, all of them or none, whenever the power fails: they are made in a draft; once that
 * is renamed they count, and what is left to do is done by whoever comes next.
 * @param fill writes the new files, each to the disk, into the folder that it is given. Nobody else stages at the time.
 */
export async function stage(
	folder: string,
	fill: (draft: string) => Promise<void>,
): Promise<void> {
	await finish(folder);
	// A draft that was left behind has keys that nobody was to use.
	for (const name of await readdir(folder))
		if (name.startsWith(DRAFT)) await rm(join(folder, name), ANYHOW);
	const draft = await mkdtemp(join(folder, DRAFT));
	try {
		await fill(draft);
		await rename(draft, join(folder, NEXT));
		await syncFolder(folder);
	} finally {
		await rm(draft, ANYHOW);
	}
	await finish(folder);
}

const ANYHOW = { recursive: true, force: true };

/** Brings a replacement that counts to its end, if there is one; several processes may do so at a time. */
export async function finish(folder: string): Promise<void> {
	const next = join(folder, NEXT);
	const names = await ifThere(readdir(next));
	if (names === undefined) return;
	for (const name of names)
		await replace(join(next, name), join(folder, name), folder);
	await ifThere(rmdir(next));
	await syncFolder(folder);
}

/** Moves a file over another, of which nothing is left: it held a key. */
async function replace(from: string, to: string, folder: string) {
	await using old = await ifThere(open(to, "r+"));
	if ((await ifThere(rename(from, to).then(() => true))) === undefined) return;
	await syncFolder(folder);
	if (old !== undefined) await blank(old);
}

/** Disks that write elsewhere than they are told (flash, snapshots) keep a trace all the same. */
async function blank(file: FileHandle): Promise<void> {
	const { size } = await file.stat();
	await file.write(Buffer.alloc(size), 0, size, 0);
	await file.sync();
}

/** Undefined when it is not there, or not any more. */
async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
	try {
		return await work;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}
