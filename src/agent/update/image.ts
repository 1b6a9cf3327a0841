import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Bytes, MiB } from "../../base/units.ts";
import { Heads } from "../../control/heads.ts";
import type { Trust } from "../../wire/envelope.ts";
import {
	compareVersions,
	IMAGE,
	MAX_STATEMENT,
	type Release,
	readStatement,
} from "../../wire/release.ts";
import { BUILT } from "../built.ts";
import { BoxClock } from "../clock.ts";
import type { Config } from "../config.ts";
import { readIdentity } from "../identity.ts";

const CHUNK: Bytes = MiB;

/** Whom this box believes, with all that the operator's root has said since. Throws as `readIdentity` does. */
export async function trustOf(
	config: Pick<Config, "identity" | "data">,
	log: Log,
): Promise<Trust> {
	const identity = await readIdentity(config.identity, new BoxClock(BUILT));
	const { boxId: box, region, trust } = identity;
	const path = join(config.data, "control", "head.json");
	await new Heads(path, { box, region, trust }, () => 0, log).load();
	return trust;
}

/**
 * Reads an image's release file to its end. Throws RELEASE_INVALID when it is not whole or not the operator's,
 * UPDATE_REFUSED when it is not for this box.
 * @param version of the image that runs
 */
export async function checkImage(
	path: string,
	trust: Trust,
	version: string,
): Promise<Release> {
	await using file = await open(path);
	const { said, start } = await statementOf(file, path, trust);
	const why = objection(said, version);
	if (why !== undefined) throw new LarderError("UPDATE_REFUSED", why);
	const { size } = await file.stat();
	if (
		size !== start + said.size ||
		(await hash(file, start, said.size)) !== said.sha256
	)
		throw invalid(path, "its content is not what was signed");
	return said;
}

/** Writes an image onto a partition. Throws as `checkImage` does, before it has written anything. */
export async function writeImage(
	path: string,
	trust: Trust,
	version: string,
	partition: string,
): Promise<Release> {
	const { size } = await checkImage(path, trust, version);
	await using file = await open(path);
	const { said, start } = await statementOf(file, path, trust);
	await using target = await open(partition, "r+");
	const buffer = Buffer.alloc(CHUNK);
	for (let at = 0; at < size; ) {
		const wanted = Math.min(CHUNK, size - at);
		const { bytesRead } = await file.read(buffer, 0, wanted, start + at);
		if (bytesRead === 0) throw invalid(path, "it is cut short");
		await target.write(buffer, 0, bytesRead, at);
		at += bytesRead;
	}
	await target.sync();
	return said;
}

/** Throws STORE_UNUSABLE when a partition has not the image that was written to it. */
export async function compareImage(
	{ size, sha256, version }: Release,
	partition: string,
): Promise<void> {
	await using file = await open(partition);
	if ((await hash(file, 0, size)) === sha256) return;
	const what = `${partition} does not keep what was written to it`;
	throw new LarderError("STORE_UNUSABLE", `${what}, ${version}`);
}

async function statementOf(file: FileHandle, path: string, trust: Trust) {
	const head = Buffer.alloc(MAX_STATEMENT);
	const { bytesRead } = await file.read(head, 0, head.length, 0);
	const read = readStatement(head.subarray(0, bytesRead), trust);
	if (!read.ok) throw invalid(path, `${read.reason}: ${read.detail}`);
	return read.value;
}

/** Why an image is not for this box, in words. */
function objection(said: Release, version: string): string | undefined {
	if (said.target !== IMAGE) return `it is for ${said.target}, not ${IMAGE}`;
	if (compareVersions(said.version, version) <= 0)
		return `${said.version} is not newer than ${version}`;
	if (compareVersions(version, said.minimum) < 0)
		return `it takes ${said.minimum} at least, this is ${version}`;
	return undefined;
}

async function hash(
	file: FileHandle,
	start: Bytes,
	size: Bytes,
): Promise<string> {
	const sum = createHash("sha256");
	const end = start + size - 1;
	const options = { start, end, highWaterMark: CHUNK, autoClose: false };
	for await (const chunk of file.createReadStream(options)) sum.update(chunk);
	return sum.digest("hex");
}

function invalid(path: string, why: string): LarderError {
	return new LarderError("RELEASE_INVALID", `${path}: ${why}`);
}
