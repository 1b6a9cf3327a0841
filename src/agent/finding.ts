import { describe, LarderError } from "../base/errors.ts";
import type { Check } from "../wire/ipc.ts";

/** One finding of the doctor; a remedy only where something is to be done. */
export function finding(
	name: string,
	level: Check["level"],
	text: string,
	remedy?: string,
): Check {
	return {
		name,
		level,
		finding: text,
		...(remedy !== undefined && level !== "ok" && { remedy }),
	};
}

/** A failure as a finding. An error of the table brings its remedy. */
export function failure(name: string, error: unknown, remedy?: string): Check {
	const known = error instanceof LarderError ? error.remedy : undefined;
	return finding(name, "fail", describe(error), remedy ?? known);
}
