import { DAY } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { grantOf, type KeyGrant, type Purpose } from "../../wire/envelope.ts";
import { type OperatorKey, since } from "./keyfile.ts";
import type { Operator } from "./operator.ts";

/** How long before its end a key is spoken of. */
const NOTICE: Millis = 365 * DAY;

/** One key as a person may see it; nothing of it is secret. */
export interface KeyView {
	readonly purpose: Purpose;
	readonly serial: number;
	/** The public key, 64 hex digits. */
	readonly key: string;
	readonly since: Millis;
	readonly until: Millis;
	/** A replaced key is believed until it is retired. */
	readonly state: "in-use" | "ended" | "replaced" | "retired";
}

/** A key and those before it, newest first. */
export function viewKey(
	{ keyring, trust }: Pick<Operator, "keyring" | "trust">,
	{ granted, earlier }: OperatorKey,
): KeyView[] {
	const least = keyring.mandate?.said.minimum[granted.purpose] ?? 0;
	const view = (grant: KeyGrant, current: boolean): KeyView => {
		const { purpose, serial, key, notAfter: until } = grant;
		const standing = current ? "in-use" : "replaced";
		const ended = until <= trust.now() ? "ended" : standing;
		const state = serial < least ? "retired" : ended;
		return { purpose, serial, key, since: since(grant), until, state };
	};
	const before = earlier.toReversed().flatMap((signed) => {
		const read = grantOf(signed);
		return read.ok ? [view(read.value, false)] : [];
	});
	return [view(granted, true), ...before];
}

/** What is wrong with the keys that the headend signs with, a line each. */
export function keyTroubles(operator: Operator): string[] {
	const now = operator.trust.now();
	return Object.values<OperatorKey>(operator.signers).flatMap((key) => {
		const [view] = viewKey(operator, key);
		if (view === undefined) return [];
		const { purpose, until, state } = view;
		const day = new Date(until).toISOString().slice(0, 10);
		if (state === "retired") return `the key for ${purpose} is retired`;
		if (until - now > NOTICE) return [];
		return `the key for ${purpose} ${state === "ended" ? "ended" : "ends"} on ${day}`;
	});
}
