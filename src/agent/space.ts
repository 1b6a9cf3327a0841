import { mkdir, statfs } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";
import type { Config } from "./config.ts";

/** What the configuration's quota is in bytes on this disk, and the part of it kept for what is watched unplaced. */
export async function resolveQuota(
	config: Config,
): Promise<{ capacity: Bytes; streamingShare: Bytes }> {
	const { quota, streamingShare } = config.store;
	let capacity: Bytes;
	try {
		await mkdir(config.data, { recursive: true, mode: 0o700 });
		const { blocks, bsize } = await statfs(config.data);
		const disk = blocks * bsize;
		capacity =
			quota.kind === "bytes" ? quota.bytes : Math.floor(disk * quota.share);
	} catch (cause) {
		const what = `the data folder ${config.data} cannot be used`;
		throw new LarderError("STORE_UNUSABLE", what, { cause });
	}
	return { capacity, streamingShare: Math.floor(capacity * streamingShare) };
}
