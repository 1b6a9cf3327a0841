import { createHash } from "node:crypto";
import type {
	IncomingHttpHeaders,
	IncomingMessage,
	OutgoingHttpHeaders,
	ServerResponse,
} from "node:http";
import type { TitleId } from "../wire/ids.ts";

/** A strong entity tag. A title is immutable, so its id and the path name the bytes for good. */
export function etagOf(id: TitleId, path: string): string {
	const digest = createHash("sha256").update(`${id}/${path}`).digest();
	return `"${digest.subarray(0, 16).toString("base64url")}"`;
}

/**
 * Whether If-Match or If-None-Match have answered a GET or HEAD (RFC 9110, section 13.2.2): with 412 or 304. Then nothing else is to be sent.
 * Files have no modification date, so the conditions on dates do not apply.
 * @param fields of the whole answer that one without a body has, too
 */
export function settle(
	req: IncomingMessage,
	res: ServerResponse,
	etag: string,
	fields: OutgoingHttpHeaders,
): boolean {
	const status = precondition(req.headers, etag);
	if (status === undefined) return false;
	if (status === 412) res.setHeader("Content-Length", 0);
	res.writeHead(status, { ETag: etag, ...fields }).end();
	return true;
}

function precondition(
	headers: IncomingHttpHeaders,
	etag: string,
): 304 | 412 | undefined {
	const must = headers["if-match"];
	if (must !== undefined && !lists(must, etag, false)) return 412;
	const mustNot = headers["if-none-match"];
	if (mustNot !== undefined && lists(mustNot, etag, true)) return 304;
	return undefined;
}

/** Whether a Range header counts: without If-Range, or with exactly this tag. A date or a weak tag never matches. */
export function rangeApplies(
	headers: IncomingHttpHeaders,
	etag: string,
): boolean {
	const given = headers["if-range"];
	return given === undefined || given === etag;
}

function lists(header: string, etag: string, weakly: boolean): boolean {
	if (header.trim() === "*") return true;
	return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some(
		(tag) => (weakly ? tag.replace(/^W\//, "") : tag) === etag,
	);
}
