import * as z from "zod/mini";
import { count, instant, titleId } from "./ids.ts";

/** One entry of the operator's catalog, at most 300 bytes of JSON, keyed by title id in a Hyperbee. Never files or keys. */
export const catalogEntry = z.object({
	id: titleId,
	kind: z.enum(["title", "release"]),
	assetId: z.string().check(z.maxLength(64)),
	version: count,
	name: z.string().check(z.maxLength(80)),
	/** Playing time in seconds; 0 when it is not known. */
	duration: z.number().check(z.nonnegative()),
	/** Bytes of the title's files. */
	size: count,
	availableFrom: z.optional(instant),
	availableUntil: z.optional(instant),
});
export type CatalogEntry = z.output<typeof catalogEntry>;
export const MAX_CATALOG_ENTRY = 300;
