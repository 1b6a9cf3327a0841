import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LarderError, systemCode } from "../../base/errors.ts";
import { type Bytes, MiB } from "../../base/units.ts";
import {
	readTarHeader,
	TAR_BLOCK,
	type TarEntry,
	tarPadding,
} from "../../content/tar.ts";
import type { Release } from "../../wire/release.ts";
import type { Releases } from "./releases.ts";

const CHUNK: Bytes = MiB;

/**
 * Puts a release beside those that are there, whole or not at all. Nothing of it is looked at before all of it is known to
 * be what was signed. Throws RELEASE_INVALID, STORE_FULL or what the disk says.
 * @param tar its bytes, in order
 */
export async function stage(
	said: Release,
	tar: AsyncIterable<Buffer>,
	releases: Releases,
): Promise<void> {
	await releases.clear();
	const part = releases.partOf(said.version);
	const file = `${part}.tar`;
	try {
		await receive(said, tar, file);
		await unpack(file, part);
		const text = await readFile(join(part, "version"), "utf8");
		if (text.trim() !== said.version)
			throw invalid("another version is in it than it says");
		await releases.adopt(part, said.version);
	} catch (error) {
		if (!["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "")) throw error;
		const what = "there is no room for another release";
		throw new LarderError("STORE_FULL", what, { cause: error });
	} finally {
		await rm(file, { force: true });
		await rm(part, { recursive: true, force: true });
	}
}

async function receive(
	{ size, sha256 }: Release,
	tar: AsyncIterable<Buffer>,
	path: string,
): Promise<void> {
	await using file = await open(path, "w", 0o600);
	const hash = createHash("sha256");
	let got = 0;
	for await (const chunk of tar) {
		got += chunk.length;
		if (got > size) break;
		hash.update(chunk);
		await file.writeFile(chunk);
	}
	if (got !== size || hash.digest("hex") !== sha256)
		throw invalid("what came is not what was signed");
}

async function unpack(path: string, folder: string): Promise<void> {
	await using tar = await open(path);
	const folders = new Set([folder]);
	await mkdir(folder, { mode: 0o700 });
	let at = 0;
	for (;;) {
		const header = Buffer.alloc(TAR_BLOCK);
		await tar.read(header, 0, TAR_BLOCK, at);
		const read = readTarHeader(header);
		if (!read.ok) throw invalid(read.detail);
		if (read.value === undefined) break;
		const target = join(folder, read.value.path);
		await mkdir(dirname(target), { recursive: true, mode: 0o700 });
		folders.add(dirname(target));
		at += TAR_BLOCK;
		await copy(tar, at, read.value, target);
		at += read.value.size + tarPadding(read.value.size);
	}
	for (const each of folders) {
		await using entry = await open(each, "r");
		await entry.sync();
	}
}

async function copy(
	tar: FileHandle,
	start: Bytes,
	{ path, size }: TarEntry,
	target: string,
): Promise<void> {
	await using file = await open(target, "wx", 0o600);
	const buffer = Buffer.alloc(Math.min(CHUNK, size));
	for (let done = 0; done < size; ) {
		const wanted = Math.min(buffer.length, size - done);
		const { bytesRead } = await tar.read(buffer, 0, wanted, start + done);
		if (bytesRead === 0) throw invalid(`${path} is cut short`);
		await file.writeFile(buffer.subarray(0, bytesRead));
		done += bytesRead;
	}
	await file.sync();
}

function invalid(why: string): LarderError {
	return new LarderError("RELEASE_INVALID", why);
}
