import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { LarderError } from "../../base/errors.ts";
import { type Bytes, KiB } from "../../base/units.ts";
import {
	type Envelope,
	parseEnvelope,
	type Trust,
	unsealParsed,
} from "../../wire/envelope.ts";
import { type Release, release } from "../../wire/release.ts";

// A release file is one line of JSON, the signed statement, and the tar that it is about.

/** No statement is longer. */
const MAX_STATEMENT: Bytes = 16 * KiB;

/** A release with the operator's word for it. */
export interface SignedRelease {
	readonly statement: Envelope;
	readonly said: Release;
}

export function releaseFile(statement: Buffer, tar: Buffer): Buffer {
	return Buffer.concat([statement, Buffer.from("\n"), tar]);
}

/** Reads a release file to its end. Throws RELEASE_INVALID when it is not whole, or not signed by this operator's key. */
export async function readReleaseFile(
	path: string,
	trust: Trust,
): Promise<SignedRelease> {
	await using file = await open(path);
	const head = Buffer.alloc(MAX_STATEMENT);
	const { bytesRead } = await file.read(head, 0, head.length, 0);
	const end = head.subarray(0, bytesRead).indexOf("\n");
	const outer = parseEnvelope(jsonOf(head.subarray(0, Math.max(0, end))));
	if (!outer.ok) throw invalid(path, "it does not begin with a statement");
	const read = unsealParsed(outer.value, "release", release, trust);
	if (!read.ok) throw invalid(path, `${read.reason}: ${read.detail}`);
	const said = read.value;
	if (said.network !== trust.network)
		throw invalid(path, "it is another operator's");
	const hash = createHash("sha256");
	let size = 0;
	for await (const chunk of file.createReadStream({ start: end + 1 })) {
		hash.update(chunk);
		size += chunk.length;
	}
	if (size !== said.size || hash.digest("hex") !== said.sha256)
		throw invalid(path, "its content is not what was signed");
	return { statement: outer.value, said };
}

function jsonOf(bytes: Buffer): unknown {
	try {
		return JSON.parse(bytes.toString());
	} catch {
		// Told apart by the schema, which nothing of this fits.
		return undefined;
	}
}

function invalid(path: string, why: string): LarderError {
	return new LarderError("RELEASE_INVALID", `${path}: ${why}`);
}
