// Writes a title's blocks into a store, all but those of the last shard, says which are written, and waits to be killed.
// Arguments: the store's folder, and one in which `manifest` and the shard files lie as at an origin.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { silent } from "../../src/base/log.ts";
import { blocksIn, runBytes, shardBytes } from "../../src/content/geometry.ts";
import { titleIdOf } from "../../src/content/hash.ts";
import { verifyBlock, verifyLeaves } from "../../src/content/verify.ts";
import { ShardStore } from "../../src/store/store.ts";

const [folder = "", origin = ""] = process.argv.slice(2);
const bytes = readFileSync(join(origin, "manifest"));
const id = titleIdOf(bytes);
const limits = { capacity: 1e9, streamingShare: 0 };
const store = await ShardStore.open({ folder, ...limits, log: silent });
const manifest = await store.putManifest(id, bytes);
for (const shard of [...manifest.shards.keys()].slice(0, -1)) {
	const file = readFileSync(join(origin, `${shard}`));
	const end = file.subarray(shardBytes(manifest, shard));
	const leaves = verifyLeaves(manifest, manifest.shards, shard, end)!;
	await store.putLeaves(id, shard, leaves);
	for (let block = 0; block < blocksIn(manifest, shard); block++) {
		const at = block * manifest.blockSize;
		const length = runBytes(manifest, { shard, first: block, count: 1 });
		const part = file.subarray(at, at + length);
		const good = verifyBlock(manifest, leaves, shard, block, part)!;
		await store.putBlock(id, shard, block, good);
		process.stdout.write(`${shard} ${block}\n`);
	}
}
setInterval(() => undefined, 1000);
