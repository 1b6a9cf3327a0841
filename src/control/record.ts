import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type * as z from "zod/mini";
import { LarderError, systemCode } from "../base/errors.ts";
import { bad, type Result } from "../base/result.ts";
import { encodeMessage, type ParseReason, parseMessage } from "../wire/json.ts";

/** Replaces the file as one step that survives a power cut. Rejects with STORE_UNUSABLE. */
export async function saveRecord(path: string, value: object): Promise<void> {
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
export async function loadRecord<T extends z.ZodMiniType>(
	path: string,
	schema: T,
): Promise<Result<z.output<T>, ParseReason | "unreadable"> | undefined> {
	try {
		return parseMessage(schema, await readFile(path), Infinity);
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		return bad("unreadable", String(error));
	}
}
