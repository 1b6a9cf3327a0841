import { LarderError } from "../base/errors.ts";
import { bad, type Result } from "../base/result.ts";
import {
	type CatalogEntry,
	catalogEntry,
	MAX_CATALOG_ENTRY,
} from "../wire/catalog.ts";
import { type ParseReason, parseMessage } from "../wire/json.ts";

/** How both sides of a catalog read its Hyperbee. */
export const BEE = {
	keyEncoding: "utf-8",
	valueEncoding: "utf-8",
	// It would ask peers for tree nodes ahead of reads; readers hold the whole log.
	extension: false,
} as const;

/**
 * An entry as it stands in the log: JSON of at most 300 bytes. The display name gives way when it would be more.
 *
 * @throws LarderError PACKAGE_INVALID when the entry is not one, or does not fit even without a name
 */
export function encodeEntry(entry: CatalogEntry): string {
	const letters = [...entry.name];
	for (let name = entry.name; ; name = `${letters.join("").trimEnd()}…`) {
		const text = JSON.stringify(
			catalogEntry.parse({ ...entry, name: letters.length > 0 ? name : "" }),
		);
		if (Buffer.byteLength(text) <= MAX_CATALOG_ENTRY) return text;
		if (letters.pop() === undefined)
			throw new LarderError(
				"PACKAGE_INVALID",
				`the catalog entry of ${entry.id} takes ${Buffer.byteLength(text)} bytes without its name, at most ${MAX_CATALOG_ENTRY}: shorten the asset id`,
			);
	}
}

/** Reads an entry that the log holds under `key`. */
export function decodeEntry(
	key: string,
	text: string,
): Result<CatalogEntry, ParseReason | "wrong-key"> {
	const entry = parseMessage(
		catalogEntry,
		Buffer.from(text, "utf8"),
		MAX_CATALOG_ENTRY,
	);
	if (entry.ok && entry.value.id !== key)
		return bad("wrong-key", `the entry of ${entry.value.id} under ${key}`);
	return entry;
}
