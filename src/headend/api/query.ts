import { DAY, HOUR } from "../../base/time.ts";
import { isTitleId, type TitleId } from "../../wire/ids.ts";
import { KEPT } from "../fleet/quality.ts";
import { Refusal } from "./reply.ts";

/** Undefined when it is not asked for. Throws a Refusal. */
export function whole(
	query: URLSearchParams,
	name: string,
): number | undefined {
	const text = query.get(name);
	if (text === null) return undefined;
	if (/^\d{1,15}$/.test(text)) return Number(text);
	throw new Refusal(400, "REQUEST_INVALID", `${name} must be a whole number`);
}

/** Undefined when none is asked for. Throws a Refusal. */
export function titleIn(query: URLSearchParams): TitleId | undefined {
	const text = query.get("title") ?? undefined;
	if (text === undefined || isTitleId(text)) return text;
	throw new Refusal(400, "REQUEST_INVALID", "title must be a title's id");
}

/** How many hours back; a day unless it is said, and not beyond what is kept. Throws a Refusal. */
export function backIn(query: URLSearchParams): number {
	return Math.min(whole(query, "hours") ?? DAY / HOUR, KEPT / HOUR);
}
