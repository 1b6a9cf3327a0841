import { randomBytes } from "node:crypto";
import {
	lstat,
	mkdir,
	open,
	readdir,
	readFile,
	rename,
	rm,
	stat,
} from "node:fs/promises";
import { dirname } from "node:path";
import { LarderError, systemCode } from "../../base/errors.ts";

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

/** As `readIfThere`, for keys. Throws OPERATOR_INVALID when others than their owner may read them. */
export async function readSecret(path: string): Promise<Buffer | undefined> {
	try {
		await using file = await open(path);
		// Mode and bytes are taken from the same open file.
		checkMode(path, (await file.stat()).mode, SECRET);
		return await file.readFile();
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

/** Throws OPERATOR_INVALID when others than its owner may look into a folder of keys. */
export async function checkSecretFolder(path: string): Promise<void> {
	try {
		checkMode(path, (await stat(path)).mode, 0o700);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
	}
}

function checkMode(path: string, mode: number, right: number): void {
	if ((mode & 0o077) === 0) return;
	const is = (mode & 0o777).toString(8);
	throw new LarderError(
		"OPERATOR_INVALID",
		`${path} can be read by others (mode ${is}); run: chmod ${right.toString(8)} ${path} (a stick without modes of its own: mount it with -o umask=077)`,
	);
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
