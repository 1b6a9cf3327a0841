import type { IncomingHttpHeaders } from "node:http";
import { HOUR } from "../base/time.ts";
import type { PlayerWord } from "../plan/session.ts";

/** What a player may say in one request; the specification asks for the keys in a few hundred. */
const MOST_TEXT = 4096;
const MOST_KEYS = 64;
const HEADERS = [
	"cmcd-object",
	"cmcd-request",
	"cmcd-session",
	"cmcd-status",
] as const;

/** The kinds of value of version 1 (CTA-5004, table 1), each with what it matches. */
const whole = /^\d{1,12}$/;
const text = /^"(?:[^"\\]|\\["\\]){0,2048}"$/;
/** Session and content ids have at most 64 characters. */
const id = /^"(?:[^"\\]|\\["\\]){0,64}"$/;
const rate = /^\d{1,4}(?:\.\d{1,4})?$/;

const KEYS: ReadonlyMap<string, RegExp | "flag"> = new Map<
	string,
	RegExp | "flag"
>([
	...(["br", "bl", "d", "dl", "mtp", "rtp", "tb"] as const).map(
		(key) => [key, whole] as const,
	),
	...(["bs", "su"] as const).map((key) => [key, "flag"] as const),
	...(["cid", "sid"] as const).map((key) => [key, id] as const),
	...(["nor", "nrr"] as const).map((key) => [key, text] as const),
	["ot", /^(?:m|a|v|av|i|c|tt|k|o)$/],
	["sf", /^[dhso]$/],
	["st", /^[vl]$/],
	["pr", rate],
	["v", /^1$/],
]);

/** A key that is nobody's but the player's own: it has a hyphen. */
const OWN_KEY = /^[A-Za-z0-9]+(?:[-.][A-Za-z0-9]+)*-[A-Za-z0-9.-]+$/;
/** Up to the next comma that is in no text. */
const PART = /(?:"(?:[^"\\]|\\.)*"|[^",])+/y;

/**
 * What a player says of itself in the argument `CMCD` or in the four headers (CTA-5004, version 1), as far as Larder has a use for it.
 * Undefined when it says nothing; "bad" when that is longer than anybody needs, or not as the specification has it: then none of it is taken.
 */
export function readWord(
	url: string,
	headers: IncomingHttpHeaders,
): PlayerWord | undefined | "bad" {
	const said = textOf(url, headers);
	if (said === undefined || said === "bad") return said;
	const pairs = said.length > MOST_TEXT ? undefined : pairsIn(said);
	if (pairs === undefined) return "bad";
	const [sid, bl, br, ot] = ["sid", "bl", "br", "ot"].map((key) =>
		pairs.get(key),
	);
	return {
		bs: pairs.get("bs") === "true",
		...(sid !== undefined && { sid: sid.slice(1, -1) }),
		...(bl !== undefined && { bl: Math.min(Number(bl), HOUR) }),
		...(br !== undefined && { br: Math.min(Number(br), 1e6) * 1000 }),
		...(ot !== undefined && { ot }),
	};
}

/** The argument goes before the headers: a player uses one way only. */
function textOf(
	url: string,
	headers: IncomingHttpHeaders,
): string | undefined | "bad" {
	const argument = /[?&]CMCD=([^&#]*)/.exec(url)?.[1];
	if (argument !== undefined) {
		if (argument.length > 3 * MOST_TEXT) return "bad";
		try {
			return decodeURIComponent(argument);
		} catch {
			return "bad";
		}
	}
	const lines = HEADERS.flatMap((name) => headers[name] ?? []);
	return lines.length === 0 ? undefined : lines.join(",");
}

/** Undefined when it is not well-formed, a key comes twice or has a value that it cannot have. */
function pairsIn(said: string): ReadonlyMap<string, string> | undefined {
	const pairs = new Map<string, string>();
	for (let at = 0; at < said.length; at++) {
		PART.lastIndex = at;
		const [part = ""] = PART.exec(said) ?? [];
		const [, key = "", value] =
			/^\s*([^=\s"]+)(?:=(.*?))?\s*$/s.exec(part) ?? [];
		const isRight =
			!pairs.has(key) && pairs.size < MOST_KEYS && isPair(key, value);
		if (!isRight) return undefined;
		pairs.set(key, value ?? "true");
		at += part.length;
		if (at < said.length && said[at] !== ",") return undefined;
		if (at === said.length - 1) return undefined;
	}
	return pairs.size > 0 ? pairs : undefined;
}

function isPair(key: string, value: string | undefined): boolean {
	const kind = KEYS.get(key);
	if (kind === undefined) return OWN_KEY.test(key);
	// A flag that is not set is left out, or said to be false.
	if (kind === "flag") return value === undefined || value === "false";
	return value !== undefined && kind.test(value);
}
