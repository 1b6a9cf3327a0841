import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";

export type ParseReason = "too-large" | "not-json" | "bad-schema";

/** The largest control message that is read at all; larger ones are refused unparsed. */
export const MAX_MESSAGE = 4 * 1024 * 1024;

/** Reads one message of at most `limit` bytes against its schema. Unknown keys are ignored, so that newer peers may add some. */
export function parseMessage<T extends z.ZodMiniType>(
	schema: T,
	bytes: Uint8Array,
	limit = MAX_MESSAGE,
): Result<z.output<T>, ParseReason> {
	if (bytes.byteLength > limit)
		return bad("too-large", `${bytes.byteLength} bytes, at most ${limit}`);
	let value: unknown;
	try {
		value = JSON.parse(
			Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
				"utf8",
			),
		);
	} catch {
		// The parser's own words quote what it read, and that may be a key.
		return bad("not-json", `${bytes.byteLength} bytes`);
	}
	return parseValue(schema, value);
}

/** Checks a value that is already parsed. */
export function parseValue<T extends z.ZodMiniType>(
	schema: T,
	value: unknown,
): Result<z.output<T>, "bad-schema"> {
	const read = z.safeParse(schema, value);
	if (read.success) return good(read.data);
	return bad("bad-schema", read.error.issues.map(explain).join("; "));
}

export function explain(issue: z.core.$ZodIssue): string {
	return `${issue.path.length === 0 ? "(whole)" : issue.path.join(".")}: ${issue.message || issue.code}`;
}

export function encodeMessage(value: unknown): Buffer {
	return Buffer.from(JSON.stringify(value), "utf8");
}
