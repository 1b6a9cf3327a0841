import { createHash } from "node:crypto";
import type { TitleId } from "../wire/ids.ts";

// Every hash has its own domain, so that no value of one kind passes for another.
const LEAF = Buffer.from("larder/leaf/1\0");
const SHARD = Buffer.from("larder/shard/1\0");
const TITLE = Buffer.from("larder/title/1\0");
const KEY = Buffer.from("larder/title-key/1\0");

/** Bytes of a leaf. */
export const LEAF_SIZE = 32;

/** The leaf of one block of ciphertext: 32 bytes. */
export function leafOf(block: Uint8Array): Buffer {
	return createHash("sha256").update(LEAF).update(block).digest();
}

/** The hash of a shard: over its leaves, end to end. */
export function shardHashOf(leaves: Uint8Array): string {
	return createHash("sha256").update(SHARD).update(leaves).digest("hex");
}

/** The id of the title that these exact manifest bytes describe. */
export function titleIdOf(manifest: Uint8Array): TitleId {
	return createHash("sha256")
		.update(TITLE)
		.update(manifest)
		.digest("hex") as TitleId;
}

/** Commits to a title key without telling it. */
export function commitmentOf(key: Uint8Array): string {
	return createHash("sha256").update(KEY).update(key).digest("hex");
}
