import type { ServerResponse } from "node:http";
import { type ErrorCode, LarderError } from "../base/errors.ts";

/** Seconds after which a player may ask again for what could not be had. */
const RETRY_AFTER = 2;

const STATUS: Partial<Record<ErrorCode, number>> = {
	REQUEST_INVALID: 400,
	TITLE_KEY_DENIED: 403,
	SITE_REFUSED: 403,
	TITLE_UNKNOWN: 404,
	FILE_UNKNOWN: 404,
	METHOD_REFUSED: 405,
	RANGE_OUTSIDE: 416,
	HOST_REFUSED: 421,
	MANIFEST_INVALID: 502,
	TITLE_KEY_EXPIRED: 503,
	TITLE_KEY_UNAVAILABLE: 503,
	TITLE_UNAVAILABLE: 503,
	ORIGIN_FAILED: 503,
};

/** An error with a code, whatever was thrown. */
export function asLarderError(error: unknown): LarderError {
	return error instanceof LarderError
		? error
		: new LarderError("INTERNAL_FAULT", "the request failed", {
				cause: error,
			});
}

/** The HTTP status that stands for an error's code; 500 when it is not the request's or the network's fault. */
export function statusOf(code: ErrorCode): number {
	return STATUS[code] ?? 500;
}

/** Answers with `{code, message, remedy}`. Only while no header has been sent. */
export function sendError(res: ServerResponse, error: LarderError): void {
	const { code, message, remedy } = error;
	const status = statusOf(code);
	if (status === 503) res.setHeader("Retry-After", RETRY_AFTER);
	sendJson(res, status, { code, message, remedy });
}

/** Answers with JSON that nobody keeps, under this media type. */
export function sendJson(
	res: ServerResponse,
	status: number,
	value: unknown,
	type = "application/json; charset=utf-8",
): void {
	const body = Buffer.from(`${JSON.stringify(value)}\n`);
	res.writeHead(status, {
		"Content-Type": type,
		"Content-Length": body.byteLength,
		"Cache-Control": "no-store",
	});
	res.end(body);
}
