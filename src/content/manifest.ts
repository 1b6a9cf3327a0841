import * as z from "zod/mini";
import { bad, good, type Result } from "../base/result.ts";
import { MiB } from "../base/units.ts";
import { count, hex32, type TitleId } from "../wire/ids.ts";
import { type ParseReason, parseMessage } from "../wire/json.ts";
import { MAX_TITLE_SIZE } from "./cipher.ts";
import { MAX_SHARD_BLOCKS, shardCount } from "./geometry.ts";
import { titleIdOf } from "./hash.ts";
import { isInside } from "./path.ts";

/** A larger manifest is refused unread: 256 GiB in 16 MiB shards with 50,000 files stay below it. */
export const MAX_MANIFEST = 16 * MiB;

const powerOfTwo = z.number().check(
	z.int(),
	z.positive(),
	z.refine((n) => Number.isInteger(Math.log2(n)), "not a power of two"),
);

const titleFile = z.object({
	path: z.string().check(z.minLength(1), z.maxLength(1024)),
	/** Where the file starts in the byte space. */
	offset: count,
	length: count,
	/** Media type, as the gateway serves it. */
	type: z.string().check(z.maxLength(100)),
});
export type TitleFile = z.output<typeof titleFile>;

const manifestSchema = z.object({
	v: z.literal(1),
	/** The byte space is the files, end to end, in this order. */
	files: z.array(titleFile).check(z.minLength(1), z.maxLength(200_000)),
	size: count.check(z.positive(), z.maximum(MAX_TITLE_SIZE)),
	blockSize: powerOfTwo.check(z.minimum(1024), z.maximum(1024 * 1024)),
	shardBlocks: powerOfTwo.check(z.maximum(MAX_SHARD_BLOCKS)),
	/** Hash of each shard's leaves. */
	shards: z.array(hex32),
	cipher: z.object({
		name: z.literal("chacha20"),
		nonce: z.string().check(z.regex(/^[0-9a-f]{24}$/)),
		keyCommitment: hex32,
	}),
});
export type Manifest = z.output<typeof manifestSchema>;

export type ManifestReason = ParseReason | "wrong-hash" | "inconsistent";

/** The exact bytes that the title id is the hash of. */
export function encodeManifest(manifest: Manifest): Buffer {
	return Buffer.from(JSON.stringify(manifest), "utf8");
}

/** Reads manifest bytes from anywhere: nothing is believed that the title id does not vouch for. */
export function readManifest(
	id: TitleId,
	bytes: Uint8Array,
): Result<Manifest, ManifestReason> {
	if (bytes.byteLength > MAX_MANIFEST) {
		return bad("too-large", `${bytes.byteLength} bytes`);
	}
	if (titleIdOf(bytes) !== id) return bad("wrong-hash", "not this title");
	const parsed = parseMessage(manifestSchema, bytes, MAX_MANIFEST);
	if (!parsed.ok) return parsed;
	const fault = inconsistency(parsed.value);
	return fault === undefined ? good(parsed.value) : bad("inconsistent", fault);
}

function inconsistency(manifest: Manifest): string | undefined {
	let end = 0;
	const seen = new Set<string>();
	for (const { path, offset, length } of manifest.files) {
		if (offset !== end) return `${path} does not start where the last one ends`;
		if (!isInside(path)) return `${path} leaves the title`;
		if (seen.has(path)) return `${path} is listed twice`;
		seen.add(path);
		end = offset + length;
	}
	if (end !== manifest.size) return "the files do not fill the byte space";
	if (manifest.shards.length !== shardCount(manifest)) {
		return `${manifest.shards.length} shards, ${shardCount(manifest)} expected`;
	}
	return undefined;
}
