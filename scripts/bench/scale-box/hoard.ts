import { randomBytes } from "node:crypto";
import {
	closeSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../../../src/base/units.ts";
import { freshCipher } from "../../../src/content/cipher.ts";
import {
	DEFAULT_BLOCK_SIZE,
	DEFAULT_SHARD_BLOCKS,
	type Geometry,
	shardFileBytes,
} from "../../../src/content/geometry.ts";
import {
	commitmentOf,
	leafOf,
	shardHashOf,
	titleIdOf,
} from "../../../src/content/hash.ts";
import {
	encodeManifest,
	type Manifest,
} from "../../../src/content/manifest.ts";
import type { TitleId } from "../../../src/wire/ids.ts";

/** A title that a box holds a part of. */
export interface Hoarded {
	readonly id: TitleId;
	readonly size: Bytes;
	/** Shards that are on the disk. */
	readonly held: readonly number[];
}

/** A title whose shards are real, all of them with the same bytes, so that whoever gives them needs one in memory. */
export interface Real extends Hoarded {
	readonly path: string;
	readonly manifest: Buffer;
	readonly key: Buffer;
	/** A shard's blocks, enciphered, and its leaves. */
	readonly blocks: Buffer;
	readonly leaves: Buffer;
}

export interface HoardSize {
	readonly titles: number;
	/** On the disk, over all titles. */
	readonly shards: number;
	/** Of each title in all, of which the box holds a few; and files, each one segment. */
	readonly length: number;
	readonly segments: number;
}

const SHARD: Bytes = DEFAULT_BLOCK_SIZE * DEFAULT_SHARD_BLOCKS;
/** A mebibyte or so of a segment, as packagers cut six seconds. */
const CUT = {
	blockSize: DEFAULT_BLOCK_SIZE,
	shardBlocks: DEFAULT_SHARD_BLOCKS,
};

/**
 * Fills a store's folder with titles whose manifests are true and whose shards are sparse files of the right name and size: all that
 * taking stock looks at. Their content is no valid blocks; who reads them finds them damaged.
 */
export function makeHoard(
	folder: string,
	{ titles, shards, length, segments }: HoardSize,
): Hoarded[] {
	return Array.from({ length: titles }, (_, n) => {
		const each =
			Math.floor(((n + 1) * shards) / titles) -
			Math.floor((n * shards) / titles);
		const geometry = { ...CUT, size: length * SHARD };
		const hashes = Array.from({ length }, () =>
			randomBytes(32).toString("hex"),
		);
		const manifest = encodeManifest(
			manifestOf(geometry, segments, hashes, randomBytes(32)),
		);
		const id = titleIdOf(manifest);
		// As striping leaves them: a few of the title, apart from one another.
		const held = Array.from({ length: each }, (_, i) =>
			Math.floor((i * length) / each),
		);
		const dir = join(folder, id);
		mkdirSync(dir, { recursive: true, mode: 0o700 });
		writeFileSync(join(dir, "manifest"), manifest, { mode: 0o600 });
		for (const shard of held)
			makeSparse(join(dir, `${shard}`), shardFileBytes(geometry, shard));
		return { id, size: geometry.size, held };
	});
}

/** One title of `length` shards, of which the first `held` are written to the store's folder. */
export function makeReal(folder: string, length: number, held: number): Real {
	const geometry = { ...CUT, size: length * SHARD };
	const blocks = randomBytes(SHARD);
	const leaves = Buffer.concat(
		Array.from({ length: DEFAULT_SHARD_BLOCKS }, (_, block) =>
			leafOf(
				blocks.subarray(
					block * DEFAULT_BLOCK_SIZE,
					(block + 1) * DEFAULT_BLOCK_SIZE,
				),
			),
		),
	);
	const hashes = new Array<string>(length).fill(shardHashOf(leaves));
	const { key } = freshCipher();
	const manifest = encodeManifest(manifestOf(geometry, 1, hashes, key));
	const id = titleIdOf(manifest);
	const dir = join(folder, id);
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	writeFileSync(join(dir, "manifest"), manifest, { mode: 0o600 });
	const here = Array.from({ length: held }, (_, shard) => shard);
	for (const shard of here)
		writeFileSync(join(dir, `${shard}`), Buffer.concat([blocks, leaves]));
	return {
		...{ id, size: geometry.size, held: here, path: nameOf(0) },
		...{ manifest, key, blocks, leaves },
	};
}

function manifestOf(
	geometry: Geometry,
	segments: number,
	shards: readonly string[],
	key: Buffer,
): Manifest {
	const { size } = geometry;
	const files = Array.from({ length: segments }, (_, n) => {
		const offset = Math.floor((n * size) / segments);
		const end = Math.floor(((n + 1) * size) / segments);
		return {
			...{ path: nameOf(n), offset, length: end - offset },
			type: "video/mp4",
		};
	});
	return {
		...{ v: 1, files, ...geometry, shards: [...shards] },
		cipher: {
			name: "chacha20",
			nonce: randomBytes(12).toString("hex"),
			keyCommitment: commitmentOf(key),
		},
	};
}

function nameOf(segment: number): string {
	return `video/1080p/segment-${String(segment).padStart(5, "0")}.m4s`;
}

function makeSparse(path: string, bytes: Bytes): void {
	const file = openSync(path, "w", 0o600);
	ftruncateSync(file, bytes);
	closeSync(file);
}

/** How large a hoard is as its files say, which is not what it takes of this disk. */
export function sizeOf(hoard: readonly Hoarded[]): Bytes {
	return hoard.reduce((sum, { held }) => sum + held.length * SHARD, 0);
}
