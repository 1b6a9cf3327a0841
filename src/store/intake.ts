import type { TitleId } from "../wire/ids.ts";
import { LooseShard } from "./loose.ts";
import { ShardDamaged } from "./opening.ts";
import type { ShardStore } from "./store.ts";

/**
 * Takes a shard's file in that lies outside of the store: moves it where it may be moved, else copies it. Throws ShardDamaged for
 * what is not the shard, of which nothing is kept that is wrong, and as the store does.
 * @param title whose manifest is in the store
 */
export async function takeIn(
	store: ShardStore,
	title: TitleId,
	shard: number,
	path: string,
	signal: AbortSignal,
): Promise<void> {
	const manifest = await store.manifest(title);
	if (manifest === undefined || shard >= manifest.shards.length)
		throw new ShardDamaged(`the title has no shard ${shard}`);
	const loose = await LooseShard.open(path, manifest, shard);
	try {
		if (await loose.isMovableTo(store.folderOf(title)))
			await move(store, title, shard, path, loose, signal);
		else await copy(store, title, shard, loose, signal);
	} finally {
		await loose.close();
	}
}

async function move(
	store: ShardStore,
	title: TitleId,
	shard: number,
	path: string,
	loose: LooseShard,
	signal: AbortSignal,
): Promise<void> {
	for await (const _ of loose.blocks()) signal.throwIfAborted();
	await loose.sync();
	await store.adopt(title, shard, path);
}

async function copy(
	store: ShardStore,
	title: TitleId,
	shard: number,
	loose: LooseShard,
	signal: AbortSignal,
): Promise<void> {
	await store.putLeaves(title, shard, loose.leaves);
	let block = 0;
	for await (const bytes of loose.blocks()) {
		signal.throwIfAborted();
		await store.putBlock(title, shard, block++, bytes);
	}
}
