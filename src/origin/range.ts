import type { IncomingMessage } from "node:http";
import { type Bytes, MiB } from "../base/units.ts";

/** A server that ignores Range sends the whole file: more than this is not read and thrown away. */
const CHEAP_SKIP: Bytes = MiB;

/** How to take bytes [offset, offset + length) out of an answer. */
export interface Cut {
	/** Bytes to throw away first. */
	readonly skip: Bytes;
	/** Whether the answer ends with the bytes asked for. */
	readonly exact: boolean;
}

/** What is wrong with an answer to a request for bytes [offset, offset + length), or where in it they are. */
export function cutOf(
	response: Pick<IncomingMessage, "statusCode" | "headers">,
	offset: Bytes,
	length: Bytes,
): Cut | string {
	const { statusCode, headers } = response;
	const announced = lengthOf(headers);
	if (statusCode === 206) {
		const range = headers["content-range"] ?? "";
		const match = /^bytes (\d+)-(\d+)\/(?:\d+|\*)$/.exec(range);
		if (
			Number(match?.[1]) !== offset ||
			Number(match?.[2]) !== offset + length - 1
		)
			return `asked for bytes ${offset}-${offset + length - 1}, got "${range}"`;
		if (announced !== undefined && announced !== length)
			return `${announced} bytes announced, ${length} asked for`;
		return { skip: 0, exact: true };
	}
	if (statusCode !== 200) return refusal(response);
	if (offset > CHEAP_SKIP)
		return "the server ignores Range and sends whole files";
	if (announced !== undefined && announced < offset + length)
		return `the file has ${announced} bytes, ${offset + length} are needed`;
	return { skip: offset, exact: announced === offset + length };
}

/** Why an answer is not the file. */
export function refusal({
	statusCode = 0,
}: Pick<IncomingMessage, "statusCode">): string {
	if (statusCode >= 300 && statusCode < 400)
		return `status ${statusCode}, and redirects are not followed`;
	return `status ${statusCode}`;
}

/** Content-Length, where there is one. */
export function lengthOf(
	headers: IncomingMessage["headers"],
): Bytes | undefined {
	const text = headers["content-length"];
	return text === undefined ? undefined : Number(text);
}

export function isEncoded(headers: IncomingMessage["headers"]): boolean {
	return (headers["content-encoding"] ?? "identity") !== "identity";
}
