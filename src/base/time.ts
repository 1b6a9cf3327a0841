import { setTimeout as wait } from "node:timers/promises";
import type { Millis } from "./units.ts";

export const SECOND: Millis = 1000;
export const MINUTE: Millis = 60 * SECOND;
export const HOUR: Millis = 60 * MINUTE;
export const DAY: Millis = 24 * HOUR;

const SPANS: Readonly<Record<string, Millis>> = {
	ms: 1,
	s: SECOND,
	min: MINUTE,
	h: HOUR,
	day: DAY,
	days: DAY,
};

/** Reads `500 ms`, `10 s`, `2 min`, `24 h`, `30 days`; undefined when it is none of these. */
export function parseSpan(text: string): Millis | undefined {
	const [, number, unit = ""] =
		/^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/.exec(text) ?? [];
	const scale = SPANS[unit];
	return number === undefined || scale === undefined
		? undefined
		: Math.round(Number(number) * scale);
}

/** Wall-clock milliseconds since 1970; a port so that pure code and tests choose the hour. */
export type Clock = () => Millis;

/** Milliseconds that never run backwards, for measuring how long something took. */
export function monotonic(): Millis {
	return performance.now();
}

/** A number above the last that follows the clock in seconds, so that what is lost does not lead back to one that was used. */
export function above(last: number | undefined, at: Millis): number {
	return Math.max((last ?? 0) + 1, Math.floor(at / SECOND));
}

/**
 * Full jitter: a uniform draw from [0, min(cap, base * 2^attempt)).
 * Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function fullJitter(
	attempt: number,
	base: Millis,
	cap: Millis,
	random = Math.random,
): Millis {
	return random() * Math.min(cap, base * 2 ** Math.min(attempt, 30));
}

/** Resolves after `ms`; rejects with the signal's reason when aborted first. Does not keep the process alive. */
export async function sleep(ms: Millis, signal?: AbortSignal): Promise<void> {
	await wait(ms, undefined, { ref: false, ...(signal && { signal }) });
}

/** Settles as `work` does, or resolves to `otherwise` after `ms`. `work` is not stopped. */
export async function within<T, U>(
	ms: Millis,
	work: Promise<T>,
	otherwise: U,
): Promise<T | U> {
	const timer = new AbortController();
	try {
		return await Promise.race([
			work,
			wait(ms, otherwise, { signal: timer.signal }),
		]);
	} finally {
		timer.abort();
	}
}
