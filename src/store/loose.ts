import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { systemCode } from "../base/errors.ts";
import {
	blocksIn,
	leavesBytes,
	runBytes,
	shardBytes,
	shardFileBytes,
} from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import {
	type VerifiedBlock,
	type VerifiedLeaves,
	verifyBlock,
	verifyLeaves,
} from "../content/verify.ts";
import { readIntact, ShardDamaged } from "./opening.ts";

/** A shard's file that lies outside of the store: on a stick, on a disk that was filled elsewhere. Nothing of it is believed. */
export class LooseShard {
	readonly leaves: VerifiedLeaves;
	private readonly handle: FileHandle;
	private readonly manifest: Manifest;
	private readonly shard: number;

	private constructor(
		handle: FileHandle,
		manifest: Manifest,
		shard: number,
		leaves: VerifiedLeaves,
	) {
		this.handle = handle;
		this.manifest = manifest;
		this.shard = shard;
		this.leaves = leaves;
	}

	/** Throws ShardDamaged for what is no file, is longer or shorter, or has other leaves; and what the disk says. */
	static async open(
		path: string,
		manifest: Manifest,
		shard: number,
	): Promise<LooseShard> {
		const handle = await openFile(path);
		try {
			const stats = await handle.stat();
			if (!stats.isFile()) throw new ShardDamaged(`${path} is no file`);
			if (stats.size !== shardFileBytes(manifest, shard))
				throw new ShardDamaged(`${path} has not the size of the shard`);
			const bytes = await readIntact(
				handle,
				leavesBytes(manifest, shard),
				shardBytes(manifest, shard),
			);
			const leaves =
				bytes && verifyLeaves(manifest, manifest.shards, shard, bytes);
			if (leaves === undefined)
				throw new ShardDamaged(`${path} has other leaves than the manifest`);
			return new LooseShard(handle, manifest, shard, leaves);
		} catch (error) {
			await handle.close();
			throw error;
		}
	}

	/** Its blocks in order, each verified. Throws ShardDamaged. */
	async *blocks(): AsyncGenerator<VerifiedBlock> {
		const { handle, manifest, shard, leaves } = this;
		for (let block = 0; block < blocksIn(manifest, shard); block++) {
			const length = runBytes(manifest, { shard, first: block, count: 1 });
			const at = block * manifest.blockSize;
			const bytes = await readIntact(handle, length, at);
			const good = bytes && verifyBlock(manifest, leaves, shard, block, bytes);
			if (good === undefined)
				throw new ShardDamaged(`block ${block} is not the shard's`);
			yield good;
		}
	}

	/** Whether it may be moved into a folder, instead of copied: it is this user's own, on the same file system, under one name. */
	async isMovableTo(folder: string): Promise<boolean> {
		const { dev, uid, nlink } = await this.handle.stat();
		const there = await open(folder, "r");
		try {
			return (
				(await there.stat()).dev === dev &&
				uid === process.geteuid?.() &&
				nlink === 1
			);
		} finally {
			await there.close();
		}
	}

	/** What was copied there by others need not be on the disk yet. */
	async sync(): Promise<void> {
		await this.handle.chmod(0o600);
		await this.handle.datasync();
	}

	async close(): Promise<void> {
		await this.handle.close();
	}
}

async function openFile(path: string): Promise<FileHandle> {
	const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
	try {
		return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	} catch (cause) {
		if (systemCode(cause) !== "ELOOP") throw cause;
		throw new ShardDamaged(`${path} is a link`, { cause });
	}
}
