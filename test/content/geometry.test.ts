import t from "tap";
import {
	blockOffset,
	blocksIn,
	type Geometry,
	leavesBytes,
	runBytes,
	runsOf,
	shardBytes,
	shardCount,
	shardFileBytes,
} from "../../src/content/geometry.ts";

const blockSize = 8;
const shardBlocks = 4;

t.test("every size is cut without gap or overlap", async (t) => {
	for (let size = 1; size <= 100; size++) {
		const geometry: Geometry = { size, blockSize, shardBlocks };
		let at = 0;
		for (let shard = 0; shard < shardCount(geometry); shard++) {
			let inShard = 0;
			for (let block = 0; block < blocksIn(geometry, shard); block++) {
				if (blockOffset(geometry, shard, block) !== at)
					t.fail(`${size}: block ${shard}/${block} is not at ${at}`);
				const bytes = runBytes(geometry, { shard, first: block, count: 1 });
				if (bytes < 1 || bytes > blockSize)
					t.fail(`${size}: block ${shard}/${block} has ${bytes} bytes`);
				inShard += bytes;
				at += bytes;
			}
			t.equal(inShard, shardBytes(geometry, shard));
			t.equal(
				shardFileBytes(geometry, shard),
				inShard + leavesBytes(geometry, shard),
			);
			const whole = { shard, first: 0, count: blocksIn(geometry, shard) };
			t.equal(runBytes(geometry, whole), inShard);
		}
		t.equal(at, size);
	}
});

t.test("runs hold exactly the blocks that a span touches", async (t) => {
	const geometry: Geometry = { size: 75, blockSize, shardBlocks };
	for (let offset = 0; offset <= 75; offset++) {
		for (let length = 0; length <= 80; length++) {
			const expected: string[] = [];
			const end = Math.min(offset + length, 75);
			for (let at = offset; at < end; at++) {
				const block = Math.floor(at / blockSize);
				const name = `${Math.floor(block / shardBlocks)}/${block % shardBlocks}`;
				if (expected.at(-1) !== name) expected.push(name);
			}
			const found = runsOf(geometry, offset, length).flatMap(
				({ shard, first, count }) =>
					Array.from({ length: count }, (_, i) => `${shard}/${first + i}`),
			);
			if (found.join() !== expected.join()) t.same(found, expected);
		}
	}
	t.same(runsOf(geometry, 30, 8), [
		{ shard: 0, first: 3, count: 1 },
		{ shard: 1, first: 0, count: 1 },
	]);
});

t.test("a run beyond the end has no bytes", async (t) => {
	const geometry: Geometry = { size: 10, blockSize, shardBlocks };
	t.equal(runBytes(geometry, { shard: 0, first: 3, count: 1 }), 0);
	t.equal(runBytes(geometry, { shard: 0, first: 1, count: 3 }), 2);
});
