import type { Result } from "../../base/result.ts";
import type { Millis } from "../../base/units.ts";
import type { CatalogEntry } from "../../wire/catalog.ts";
import type { CallbackAnswer } from "./callback.ts";

/** What is to become of a box's request for a title's key. Reasons are slugs that the box is told. */
export type Verdict =
	/** It may use the key until then. `allowed`: until when the callback's word holds, when it was the callback's. */
	| {
			readonly kind: "lease";
			readonly until: Millis;
			readonly allowed?: Millis;
	  }
	| { readonly kind: "denied"; readonly reason: string }
	/** Nobody can say just now. */
	| { readonly kind: "undecided"; readonly reason: string };

/** What a rule of the operator says of a box and a title. */
export type Rule = "allow" | "deny";

export interface Asking {
	readonly now: Millis;
	/** How long a key may be used at most before the box asks again. */
	readonly lease: Millis;
	readonly title: Pick<
		CatalogEntry,
		"kind" | "availableFrom" | "availableUntil"
	>;
	/** The rule for this box and title, if there is one; else that for the title. */
	readonly rule: Rule | undefined;
}

/**
 * What follows without asking anybody: undefined when the callback is to say.
 * @param mode what holds where there is no rule
 */
export function judge(
	asking: Asking,
	mode: "all" | "list" | "callback",
): Verdict | undefined {
	const { now, title, rule } = asking;
	// The operator's own software: nobody is denied it, and nobody is asked.
	if (title.kind === "release") return leased(asking);
	if (now < (title.availableFrom ?? 0)) return denied("not-yet-available");
	if (now >= (title.availableUntil ?? Infinity))
		return denied("no-longer-available");
	if (rule === "deny") return denied("not-entitled");
	if (rule === "allow" || mode === "all") return leased(asking);
	return mode === "list" ? denied("not-entitled") : undefined;
}

/**
 * What follows from the callback's answer. While it fails, what it allowed before is renewed for a while; nothing new is
 * allowed, and nothing is denied either.
 * @param before until when the callback's last yes to this box and title holds, the grace included
 */
export function judgeAnswer(
	asking: Asking,
	answer: Result<CallbackAnswer>,
	before: Millis | undefined,
	grace: Millis,
): Verdict {
	const { now } = asking;
	if (!answer.ok)
		return before !== undefined && before > now
			? leased(asking, before)
			: { kind: "undecided", reason: "entitlement-unknown" };
	const { allow, until = Infinity, reason } = answer.value;
	if (!allow) return denied(reason ?? "not-entitled");
	if (until <= now) return denied("not-entitled");
	const allowed = Math.min(until, now + grace);
	return { ...leased(asking, until), allowed };
}

function leased({ now, lease, title }: Asking, end = Infinity) {
	const until = Math.min(now + lease, end, title.availableUntil ?? Infinity);
	return { kind: "lease", until } as const;
}

function denied(reason: string): Verdict {
	return { kind: "denied", reason };
}
