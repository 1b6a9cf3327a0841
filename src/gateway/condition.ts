import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { TitleId } from "../wire/ids.ts";

/** A strong entity tag. A title is immutable, so its id and the path name the bytes for good. */
export function etagOf(id: TitleId, path: string): string {
	const digest = createHash("sha256").update(`${id}/${path}`).digest();
	return `"${digest.subarray(0, 16).toString("base64url")}"`;
}

/**
 * What If-Match and If-None-Match make of a GET or HEAD (RFC 9110, section 13.2.2), undefined: go on.
 * Files have no modification date, so the conditions on dates do not apply.
 */
export function precondition(
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
