import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../base/errors.ts";
import { bad, type Result } from "../base/result.ts";
import { envelope } from "../wire/envelope.ts";
import { instant } from "../wire/ids.ts";
import { encodeMessage, type ParseReason, parseMessage } from "../wire/json.ts";

/** A statement of the operator as it was accepted, kept so that a box that starts without a broker knows it. */
const record = z.object({
	/** Its signature is checked as of then: keys expire, and a box may start before it knows the time. */
	acceptedAt: instant,
	envelope,
	/** The exact text of a placement that came by reference. */
	body: z.optional(z.string()),
});
export type Record = z.output<typeof record>;

/** Replaces the file as one step that survives a power cut. Rejects with STORE_UNUSABLE. */
export async function saveRecord(path: string, value: Record): Promise<void> {
	const folder = dirname(path);
	const part = `${path}.part`;
	try {
		await mkdir(folder, { recursive: true });
		await using file = await open(part, "w");
		await file.writeFile(encodeMessage(value));
		await file.sync();
		await rename(part, path);
		await using entry = await open(folder, "r");
		await entry.sync();
	} catch (cause) {
		throw new LarderError("STORE_UNUSABLE", `${path} cannot be written`, {
			cause,
		});
	}
}

/** Undefined when there is none yet. */
export async function loadRecord(
	path: string,
): Promise<Result<Record, ParseReason | "unreadable"> | undefined> {
	try {
		return parseMessage(record, await readFile(path), Infinity);
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		return bad("unreadable", String(error));
	}
}
