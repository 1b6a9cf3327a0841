import type { IncomingMessage, ServerResponse } from "node:http";
import * as z from "zod/mini";
import {
	describe,
	ERRORS,
	type ErrorCode,
	LarderError,
} from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { parseMessage } from "../../wire/json.ts";

const MAX_BODY = 64 * 1024;

/** Headers of every answer: nothing from outside, in no frame, of no other site, kept nowhere. */
export const SAFETY: Readonly<Record<string, string>> = {
	"content-security-policy":
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"x-content-type-options": "nosniff",
	"x-frame-options": "DENY",
	"referrer-policy": "no-referrer",
	"cross-origin-opener-policy": "same-origin",
	"cross-origin-resource-policy": "same-origin",
	"cache-control": "no-store",
};

/** Of errors that are no fault of the network behind the headend. */
const STATUS: Partial<Record<ErrorCode, number>> = {
	REQUEST_INVALID: 400,
	BOX_UNKNOWN: 404,
	TITLE_UNKNOWN: 404,
	BOX_REVOKED: 409,
	PURGE_LIMIT: 429,
	ENROLMENT_CHANGED: 409,
	BOX_SILENT: 504,
	AUDIT_FAILED: 503,
	INTERNAL_FAULT: 500,
};

/** What an answer that is an error says. */
export const errorReply = z.object({
	code: z.enum(Object.keys(ERRORS) as ErrorCode[]),
	message: z.string(),
	remedy: z.string(),
});

/** A request that is not answered as asked, and the HTTP status to say so with. */
export class Refusal extends LarderError {
	readonly status: number;

	constructor(status: number, code: ErrorCode, message: string) {
		super(code, message);
		this.status = status;
	}
}

export function sendJson(
	response: ServerResponse,
	value: unknown,
	status = 200,
): void {
	response.writeHead(status, { "content-type": "application/json" });
	response.end(JSON.stringify(value));
}

/** An answer that is no JSON, with its media type. */
export interface Text {
	readonly type: string;
	readonly text: string;
}

export function sendText(response: ServerResponse, { type, text }: Text): void {
	response.writeHead(200, { "content-type": type });
	response.end(text);
}

/** `{code, message, remedy}`. What is no error of Larder's is logged and not told. */
export function sendError(
	response: ServerResponse,
	error: unknown,
	log: Log,
): void {
	if (!(error instanceof Refusal)) log.warn({}, `api: ${describe(error)}`);
	if (response.headersSent) {
		response.destroy();
		return;
	}
	const told =
		error instanceof LarderError
			? error
			: new LarderError("INTERNAL_FAULT", "see the log");
	const status =
		told instanceof Refusal ? told.status : (STATUS[told.code] ?? 502);
	const body: z.output<typeof errorReply> = {
		code: told.code,
		message:
			told.cause === undefined
				? told.message
				: `${told.message}: ${describe(told.cause)}`,
		remedy: told.remedy,
	};
	sendJson(response, body, status);
}

/**
 * Reads a body against its schema. Only JSON, which no other site's form can send. Throws a Refusal.
 * @param limit in bytes
 */
export async function readBody<T extends z.ZodMiniType>(
	request: IncomingMessage,
	schema: T,
	limit = MAX_BODY,
): Promise<z.output<T>> {
	if (request.headers["content-type"]?.split(";")[0] !== "application/json")
		throw new Refusal(415, "REQUEST_INVALID", "the body must be JSON");
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		size += chunk.byteLength;
		if (size > limit)
			throw new Refusal(413, "REQUEST_INVALID", "the body is too large");
		chunks.push(chunk);
	}
	const read = parseMessage(schema, Buffer.concat(chunks), limit);
	if (!read.ok) throw new Refusal(400, "REQUEST_INVALID", read.detail);
	return read.value;
}
