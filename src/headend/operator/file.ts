import { randomBytes } from "node:crypto";
import {
	lstat,
	mkdir,
	open,
	readdir,
	readFile,
	rename,
	rm,
} from "node:fs/promises";
import { dirname } from "node:path";
import { systemCode } from "../../base/errors.ts";

/** For keys and whatever else only the operator may read. */
export const SECRET = 0o600;
/** For what any reader may see. */
export const PUBLIC = 0o644;

/** Writes a file whole or not at all: a temporary name, fsync, rename, fsync of the folder. Makes missing folders. */
export async function writeWhole(
	path: string,
	bytes: string | Uint8Array,
	mode: number,
): Promise<void> {
	await mkdir(dirname(path), { recursive: true });
	const temporary = `${path}.${randomBytes(6).toString("hex")}.part`;
	try {
		const file = await open(temporary, "wx", mode);
		try {
			await file.writeFile(bytes);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
	await syncFolder(dirname(path));
}

/** Makes the names in a folder survive a power loss. */
export async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, "r");
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

/** Undefined when there is no such file. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
	try {
		return await readFile(path);
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

/** Whether nothing is there, or an empty folder: a place where something new may be put. */
export async function isVacant(path: string): Promise<boolean> {
	try {
		const there = await lstat(path);
		return there.isDirectory() && (await readdir(path)).length === 0;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return true;
		throw error;
	}
}
