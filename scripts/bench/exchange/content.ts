import { createHash, randomFillSync } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Bytes, MiB } from "../../../src/base/units.ts";
import { freshCipher } from "../../../src/content/cipher.ts";
import {
	DEFAULT_BLOCK_SIZE,
	DEFAULT_SHARD_BLOCKS,
	shardBytes,
	shardCount,
	shardFileBytes,
} from "../../../src/content/geometry.ts";
import {
	commitmentOf,
	leafOf,
	shardHashOf,
	titleIdOf,
} from "../../../src/content/hash.ts";
import { encodeManifest } from "../../../src/content/manifest.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import type { Piece } from "./contestant.ts";

/** The same random bytes in both forms: one file, and a title as a box's store holds it. */
export interface Content {
	readonly size: Bytes;
	readonly sha256: string;
	readonly file: string;
	readonly title: TitleId;
	/** The folder of a store that holds the title, whole. */
	readonly store: string;
	readonly manifest: string;
	/** Bytes of each shard, and of the leaves of all. */
	readonly shards: readonly Bytes[];
	readonly leaves: Bytes;
}

/** Makes the content: 64 KiB blocks, 256 of them a shard, as a headend publishes them. */
export async function makeContent(
	dir: string,
	megabytes: number,
): Promise<Content> {
	const size = megabytes * MiB;
	const geometry = {
		size,
		blockSize: DEFAULT_BLOCK_SIZE,
		shardBlocks: DEFAULT_SHARD_BLOCKS,
	};
	const draft = join(dir, "shards");
	await mkdir(draft, { recursive: true });
	const file = join(dir, "content");
	const whole = createHash("sha256");
	const hashes: string[] = [];
	const sizes: Bytes[] = [];
	let leavesInAll = 0;
	await using output = await open(file, "w");
	for (let shard = 0; shard < shardCount(geometry); shard++) {
		const bytes = randomFillSync(
			Buffer.allocUnsafe(shardBytes(geometry, shard)),
		);
		const leaves: Buffer[] = [];
		for (let at = 0; at < bytes.length; at += geometry.blockSize)
			leaves.push(leafOf(bytes.subarray(at, at + geometry.blockSize)));
		const end = Buffer.concat(leaves);
		await output.writeFile(bytes);
		await writeFile(join(draft, `${shard}`), [bytes, end]);
		whole.update(bytes);
		hashes.push(shardHashOf(end));
		sizes.push(bytes.length);
		leavesInAll += shardFileBytes(geometry, shard) - bytes.length;
	}
	const { key, nonce } = freshCipher();
	const manifestBytes = encodeManifest({
		v: 1,
		files: [{ path: "film.mp4", offset: 0, length: size, type: "video/mp4" }],
		...geometry,
		shards: hashes,
		cipher: {
			name: "chacha20",
			nonce: nonce.toString("hex"),
			keyCommitment: commitmentOf(key),
		},
	});
	const title = titleIdOf(manifestBytes);
	const store = join(dir, "store");
	await mkdir(store);
	await rename(draft, join(store, title));
	const manifest = join(store, title, "manifest");
	await writeFile(manifest, manifestBytes);
	return {
		size,
		sha256: whole.digest("hex"),
		file,
		title,
		store,
		manifest,
		shards: sizes,
		leaves: leavesInAll,
	};
}

/** Throws unless these pieces, end to end, are the content. */
export async function mustBeContent(
	content: Content,
	pieces: readonly Piece[],
): Promise<void> {
	const hash = createHash("sha256");
	for (const { path, bytes } of pieces) {
		const options = { end: bytes - 1, highWaterMark: MiB };
		for await (const part of createReadStream(path, options)) hash.update(part);
	}
	if (hash.digest("hex") === content.sha256) return;
	throw new Error("the receiver does not have the content");
}
