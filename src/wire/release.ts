import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import { type Bytes, KiB, MiB } from "../base/units.ts";
import {
	type Envelope,
	envelope,
	type Trust,
	unsealParsed,
} from "./envelope.ts";
import { count, hex32, networkId } from "./ids.ts";
import { parseMessage } from "./json.ts";

/** An image's root, which `larder-slot install` puts onto a box; all other targets are of the agent. */
export const IMAGE = "image-arm64";
/** What boxes are made of: `<platform>-<arch>`, as Node names them. */
export const TARGETS = ["linux-arm64", "linux-x64", IMAGE] as const;
export type Target = (typeof TARGETS)[number];

/** Three numbers below 1,000, so that a shell can compare them, too: `0.12.3`. It is also the name of a folder. */
export const version = z
	.string()
	.check(z.regex(/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){2}$/));

/** No release is larger. */
export const MAX_RELEASE: Bytes = 256 * MiB;

/** What the release key says of one release (purpose `release`): a tar of the agent's bundle, or the root of an image. */
export const release = z.object({
	network: networkId,
	version,
	target: z.enum(TARGETS),
	/** The lowest version that may become this one. */
	minimum: version,
	/** Bytes of what is brought, and their hash. */
	size: count.check(z.maximum(MAX_RELEASE)),
	sha256: hex32,
});
export type Release = z.output<typeof release>;

/** A release file is one line of JSON, the signed statement, and what it is about. No statement is longer. */
export const MAX_STATEMENT: Bytes = 16 * KiB;

/** The operator's word for what follows it in a release file. */
export interface Stated {
	readonly statement: Envelope;
	readonly said: Release;
	/** Where what it is about begins. */
	readonly start: Bytes;
}

/**
 * Reads the statement of a release file.
 * @param head the file's first MAX_STATEMENT bytes, or all of it
 */
export function readStatement(head: Buffer, trust: Trust): Result<Stated> {
	const end = head.subarray(0, MAX_STATEMENT).indexOf("\n");
	const outer = parseMessage(envelope, head.subarray(0, Math.max(0, end)));
	if (!outer.ok) return bad(outer.reason, "it does not begin with a statement");
	const read = unsealParsed(outer.value, "release", release, trust);
	if (!read.ok) return read;
	if (read.value.network !== trust.network)
		return bad("wrong-network", "it is another operator's");
	return good({ statement: outer.value, said: read.value, start: end + 1 });
}

/** Below 0 when `a` is the older of two versions, 0 when they are the same. */
export function compareVersions(a: string, b: string): number {
	return numberOf(a) - numberOf(b);
}

function numberOf(text: string): number {
	return text.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
}
