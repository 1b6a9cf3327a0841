import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { LarderError } from "../../base/errors.ts";
import type { Trust } from "../../wire/envelope.ts";
import {
	MAX_STATEMENT,
	readStatement,
	type Stated,
} from "../../wire/release.ts";

/** A release with the operator's word for it. */
export type SignedRelease = Pick<Stated, "statement" | "said">;

export function releaseFile(statement: Buffer, content: Buffer): Buffer {
	return Buffer.concat([statement, Buffer.from("\n"), content]);
}

/** Reads a release file to its end. Throws RELEASE_INVALID when it is not whole, or not signed by this operator's key. */
export async function readReleaseFile(
	path: string,
	trust: Trust,
): Promise<SignedRelease> {
	await using file = await open(path);
	const head = Buffer.alloc(MAX_STATEMENT);
	const { bytesRead } = await file.read(head, 0, head.length, 0);
	const read = readStatement(head.subarray(0, bytesRead), trust);
	if (!read.ok) throw invalid(path, `${read.reason}: ${read.detail}`);
	const { statement, said, start } = read.value;
	const hash = createHash("sha256");
	let size = 0;
	for await (const chunk of file.createReadStream({ start })) {
		hash.update(chunk);
		size += chunk.length;
	}
	if (size !== said.size || hash.digest("hex") !== said.sha256)
		throw invalid(path, "its content is not what was signed");
	return { statement, said };
}

function invalid(path: string, why: string): LarderError {
	return new LarderError("RELEASE_INVALID", `${path}: ${why}`);
}
