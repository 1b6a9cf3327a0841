import type { Bytes } from "../base/units.ts";

/** Which bytes of a file a request is for. */
export type Selection =
	| { readonly kind: "whole" }
	| { readonly kind: "part"; readonly first: Bytes; readonly last: Bytes }
	| { readonly kind: "outside" };

const WHOLE: Selection = { kind: "whole" };
const OUTSIDE: Selection = { kind: "outside" };

/**
 * Reads a Range header against a file of `length` bytes (RFC 9110, section 14).
 * What is malformed, in another unit or asks for several ranges selects the whole file, as the RFC allows:
 * players ask for one range, and many ranges at once are mostly attacks.
 */
export function selectRange(
	header: string | undefined,
	length: Bytes,
): Selection {
	const list = /^bytes=(.*)$/i.exec(header?.trim() ?? "")?.[1];
	if (list === undefined) return WHOLE;
	const specs = list.split(",").map((spec) => spec.trim());
	const [spec, ...others] = specs.filter((text) => text !== "");
	const match = /^(\d*)-(\d*)$/.exec(spec ?? "");
	if (match === null || others.length > 0) return WHOLE;
	const [, from = "", to = ""] = match;
	if (from === "") return to === "" ? WHOLE : suffix(Number(to), length);
	const first = Number(from);
	const last = to === "" ? Number.POSITIVE_INFINITY : Number(to);
	if (last < first) return WHOLE;
	if (first >= length) return OUTSIDE;
	return { kind: "part", first, last: Math.min(last, length - 1) };
}

function suffix(wanted: Bytes, length: Bytes): Selection {
	if (wanted === 0) return OUTSIDE;
	// An empty file does satisfy a suffix, but Content-Range cannot say so.
	if (length === 0) return WHOLE;
	return {
		kind: "part",
		first: Math.max(0, length - wanted),
		last: length - 1,
	};
}
