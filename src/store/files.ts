import {
	type FileHandle,
	mkdir,
	open,
	rename,
	stat,
	unlink,
} from "node:fs/promises";
import { dirname } from "node:path";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";

/** Makes a rename or an unlink in this folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
	const handle = await open(folder, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/** Makes a folder, unless it is there, in one that is. (With `recursive`, Node says ENOENT of a read-only disk.) */
export async function makeFolder(path: string): Promise<void> {
	try {
		await mkdir(path, 0o700);
	} catch (error) {
		if (systemCode(error) !== "EEXIST") throw error;
	}
}

/** Gives a complete, synced file its final name. */
export async function publishFile(part: string, final: string): Promise<void> {
	await rename(part, final);
	await syncFolder(dirname(final));
}

/** Writes a whole small file so that it is either complete under its name or not there. */
export async function writeWhole(
	path: string,
	bytes: Uint8Array,
): Promise<void> {
	const part = `${path}.part`;
	const handle = await open(part, "w", 0o600);
	try {
		await handle.writeFile(bytes);
		await handle.datasync();
	} finally {
		await handle.close();
	}
	await publishFile(part, path);
}

/** Reads exactly `length` bytes at `position`; undefined when the file is shorter. */
export async function readExactly(
	handle: FileHandle,
	length: number,
	position: number,
): Promise<Buffer | undefined> {
	const bytes = Buffer.allocUnsafe(length);
	let done = 0;
	while (done < length) {
		const { bytesRead } = await handle.read(
			bytes,
			done,
			length - done,
			position + done,
		);
		if (bytesRead === 0) return undefined;
		done += bytesRead;
	}
	return bytes;
}

export async function writeExactly(
	handle: FileHandle,
	bytes: Uint8Array,
	position: number,
): Promise<void> {
	let done = 0;
	while (done < bytes.byteLength) {
		const { bytesWritten } = await handle.write(
			bytes,
			done,
			bytes.byteLength - done,
			position + done,
		);
		done += bytesWritten;
	}
}

/** Undefined when there is no such file. */
export async function sizeIfThere(path: string): Promise<Bytes | undefined> {
	try {
		return (await stat(path)).size;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

export async function unlinkIfThere(path: string): Promise<void> {
	try {
		await unlink(path);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
	}
}

/** A disk error in Larder's words. */
export function diskError(what: string, cause: unknown): LarderError {
	const full = ["ENOSPC", "EDQUOT"].includes(systemCode(cause) ?? "");
	return new LarderError(
		full ? "STORE_FULL" : "STORE_UNUSABLE",
		`${what} failed`,
		{ cause },
	);
}
