import { rm } from "node:fs/promises";
import { describe, LarderError, systemCode } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { PUBLIC, writeWhole } from "../operator/file.ts";

/** What a report is called: the entry's name and this. */
export const FAULTS = ".faults.txt";

/** An entry of the ingest folder that was not published. */
export interface Faulty {
	readonly path: string;
	/** What the log calls it, where its name, which is the title's, has no place. */
	readonly number: number;
	readonly error: unknown;
	/** Whether only a change of it would help. */
	readonly final: boolean;
}

/** Says beside an entry why it was not published, and in the log that it was not. Gives what is said beside it. */
export async function reportFaults(
	{ path, number, error, final }: Faulty,
	log: Log,
): Promise<string> {
	const when = final ? "when it changes" : "in a minute";
	const text = `${describe(error)}\n\nIt is tried again ${when}. It is entry ${number} in the log.\n`;
	log.error(
		{ entry: number, code: codeOf(error) },
		"not published: a report beside it says which and why",
	);
	try {
		await writeWhole(`${path}${FAULTS}`, text, PUBLIC);
	} catch (cause) {
		log.error(
			{ entry: number, code: codeOf(cause) },
			"its report cannot be written",
		);
	}
	return text;
}

export async function clearFaults(path: string): Promise<void> {
	await rm(`${path}${FAULTS}`, { force: true });
}

/** What kind of error it is, for the log: its message may name files. */
export function codeOf(error: unknown): string {
	const code = error instanceof LarderError ? error.code : systemCode(error);
	return code ?? (error instanceof Error ? error.name : typeof error);
}

/** Where in the program it came up, without its message. */
export function framesOf(error: unknown): string[] {
	const stack = error instanceof Error ? (error.stack ?? "") : "";
	return stack.split("\n").filter((line) => /^ {4}at /.test(line));
}
