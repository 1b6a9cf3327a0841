/** What a parse or a check gives back: a value, or a reason that can be counted and logged. It never throws. */
export type Result<T, Reason extends string = string> =
	| { readonly ok: true; readonly value: T }
	| { readonly ok: false; readonly reason: Reason; readonly detail: string };

export function good<T>(value: T): { readonly ok: true; readonly value: T } {
	return { ok: true, value };
}

/** `reason` is a stable slug (`bad-signature`); `detail` is for a person. */
export function bad<Reason extends string>(
	reason: Reason,
	detail = "",
): { readonly ok: false; readonly reason: Reason; readonly detail: string } {
	return { ok: false, reason, detail };
}
