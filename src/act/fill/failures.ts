import { describe, LarderError } from "../../base/errors.ts";
import { MINUTE, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";

/** A step that failed rests for this long, twice as long after each further failure, up to the longest. */
const FIRST_REST: Millis = 2 * SECOND;
const LONGEST_REST: Millis = MINUTE;
/** So many failures in a row are trouble worth telling; one is a hiccup. */
const TROUBLE = 3;

/** Why a step that is still to be done keeps failing. */
export interface Trouble {
	/** A code of the error table. */
	readonly code: string;
	readonly detail: string;
}

interface Failure {
	readonly error: unknown;
	readonly times: number;
	readonly at: Millis;
}

/** Steps that failed, by key, until they succeed or are no longer wanted. */
export class Failures {
	private readonly failed = new Map<string, Failure>();

	note(key: string, error: unknown, now: Millis): void {
		const times = (this.failed.get(key)?.times ?? 0) + 1;
		this.failed.delete(key);
		this.failed.set(key, { error, times, at: now });
	}

	clear(key: string): void {
		this.failed.delete(key);
	}

	/** Whether it is too early to try again. */
	rests(key: string, now: Millis): boolean {
		const failure = this.failed.get(key);
		if (failure === undefined) return false;
		const rest = FIRST_REST * 2 ** Math.min(failure.times - 1, 10);
		return now - failure.at < Math.min(LONGEST_REST, rest);
	}

	/** Forgets what is not wanted any more. */
	keep(isWanted: (key: string) => boolean): void {
		for (const key of this.failed.keys()) {
			if (!isWanted(key)) this.failed.delete(key);
		}
	}

	/** The newest failure that has lasted. */
	get trouble(): Trouble | undefined {
		let newest: Failure | undefined;
		for (const failure of this.failed.values()) {
			if (failure.times >= TROUBLE) newest = failure;
		}
		if (newest === undefined) return undefined;
		const { error } = newest;
		const code = error instanceof LarderError ? error.code : "INTERNAL_FAULT";
		return { code, detail: describe(error) };
	}
}
