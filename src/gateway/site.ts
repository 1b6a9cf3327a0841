import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { LarderError } from "../base/errors.ts";
import { isOwnHost } from "./host.ts";

/** What players ask with and look at; nothing else crosses from one origin to another, credentials least of all. */
export const METHODS = "GET, HEAD, OPTIONS";
const ASKED_WITH =
	"Range, If-Range, If-Match, If-None-Match, Cache-Control, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status" as const;
const LOOKED_AT =
	"Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After" as const;

/**
 * The origin of the page that asks, undefined when none says so. Throws SITE_REFUSED when it is neither of this machine nor
 * in `named`. Browsers put no Origin on what a page merely embeds, but newer ones say that it is of another site.
 */
export function admitSite(
	headers: IncomingHttpHeaders,
	named: ReadonlySet<string>,
): string | undefined {
	const { origin } = headers;
	if (origin === undefined) {
		if (isEmbedded(headers)) throw refusal("another site");
		return undefined;
	}
	if (isOwnSite(origin) || named.has(origin)) return origin;
	throw refusal("its origin");
}

/** Headers that let a page of `origin` read an answer. */
export function sharedWith(origin: string): OutgoingHttpHeaders {
	return {
		"Access-Control-Allow-Origin": origin,
		"Access-Control-Expose-Headers": LOOKED_AT,
		"Timing-Allow-Origin": origin,
	};
}

/** Headers that let a page ask in the first place: a day long, from the public network, too. */
export const PREFLIGHT = {
	"Access-Control-Allow-Methods": METHODS,
	"Access-Control-Allow-Headers": ASKED_WITH,
	"Access-Control-Allow-Private-Network": "true",
	"Access-Control-Max-Age": "86400",
} as const;

function isOwnSite(origin: string): boolean {
	const authority = /^https?:\/\/(.+)$/.exec(origin)?.[1];
	return authority !== undefined && isOwnHost(authority);
}

/** A link that a person follows is no embedding: nothing of it comes back to the site that it stands on. */
function isEmbedded(headers: IncomingHttpHeaders): boolean {
	return (
		headers["sec-fetch-site"] === "cross-site" &&
		headers["sec-fetch-dest"] !== "document"
	);
}

function refusal(what: string): LarderError {
	return new LarderError(
		"SITE_REFUSED",
		`the page that asks is of ${what}, which may not play`,
	);
}
