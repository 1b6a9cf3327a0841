import { createHash } from "node:crypto";
import { describe } from "../base/errors.ts";
import { bad, good, type Result } from "../base/result.ts";
import { fullJitter, MINUTE, SECOND, sleep } from "../base/time.ts";
import { type Bytes, MiB } from "../base/units.ts";
import { isInside } from "../content/path.ts";
import { parseMessage } from "../wire/json.ts";
import {
	type Placement,
	type PlacementBody,
	placementBody,
} from "../wire/placement.ts";

/** A file below the origin, at most `limit` bytes. */
export type FetchRef = (
	path: string,
	limit: Bytes,
	signal: AbortSignal,
) => Promise<Buffer>;

/** The body of a placement that is too large for a message. */
export type BodyRef = Extract<Placement["body"], { readonly ref: string }>;

/** A body of 100,000 titles is about a quarter of this. */
const MAX_BODY: Bytes = 64 * MiB;

export interface Body {
	readonly said: PlacementBody;
	/** As it came. */
	readonly text: string;
}

/** Reads a body's text; only the one that the signed placement names passes. */
export function readBody(ref: BodyRef, bytes: Buffer): Result<Body> {
	const hash = createHash("sha256").update(bytes).digest("hex");
	if (hash !== ref.sha256) return bad("wrong-hash", `${ref.ref} is ${hash}`);
	const parsed = parseMessage(placementBody, bytes, MAX_BODY);
	if (!parsed.ok) return parsed;
	return good({ said: parsed.value, text: bytes.toString("utf8") });
}

/** Whether a body may be fetched at all. */
export function checkRef({ ref, size }: BodyRef): Result<true> {
	if (!isInside(ref)) return bad("bad-ref", ref);
	if (size > MAX_BODY) return bad("too-large", `${size} bytes`);
	return good(true);
}

/**
 * Fetches a body, trying again until it is there or the signal ends it (then it rejects).
 * @param onFault told once for each new kind of fault
 */
export async function fetchBody(
	ref: BodyRef,
	fetchRef: FetchRef,
	onFault: (slug: string, detail: string) => void,
	signal: AbortSignal,
): Promise<Body> {
	let told: string | undefined;
	for (let attempt = 0; ; attempt++) {
		const read = await fetchRef(ref.ref, ref.size, signal).then(
			(bytes) => readBody(ref, bytes),
			(error: unknown) => bad("ref-unavailable", describe(error)),
		);
		if (read.ok) return read.value;
		signal.throwIfAborted();
		if (read.reason !== told) onFault(read.reason, read.detail);
		told = read.reason;
		await sleep(fullJitter(attempt, SECOND, 10 * MINUTE), signal);
	}
}
