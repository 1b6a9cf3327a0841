import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { blocksIn } from "../../src/content/geometry.ts";
import { ShardStore } from "../../src/store/store.ts";
import { makeTitle, put, type TestTitle, until } from "../fixture.ts";

const LIMITS = { capacity: 1e9, streamingShare: 0, log: silent };
const title = makeTitle(20 * 16 * 65_536 + 1000, 65_536, 16);
const { id, manifest } = title;

function layOut(title: TestTitle, folder: string): void {
	mkdirSync(folder);
	writeFileSync(join(folder, "manifest"), title.manifestBytes);
	for (const [shard, bytes] of title.shardFiles.entries()) {
		writeFileSync(join(folder, `${shard}`), bytes);
	}
}

/** Kills a process that writes the title when it has told of `count` blocks; what it told, as `shard block`. */
async function killAfter(
	count: number,
	...folders: string[]
): Promise<string[]> {
	const script = join(import.meta.dirname, "writer.ts");
	const child = spawn(process.execPath, [script, ...folders], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const told: string[] = [];
	for await (const line of createInterface(child.stdout)) {
		told.push(line);
		if (told.length === count) child.kill("SIGKILL");
	}
	if (child.signalCode === null && child.exitCode === null) {
		await once(child, "exit");
	}
	return told;
}

t.test("what was written before a kill -9 is kept", async (t) => {
	t.setTimeout(60_000);
	const origin = join(t.testdir(), "origin");
	layOut(title, origin);
	for (const count of [5, 37, 120]) {
		const folder = join(t.testdirName, `store-${count}`);
		const told = await killAfter(count, folder, origin);
		t.ok(told.length >= count, `${told.length} blocks`);
		const store = await ShardStore.open({ folder, ...LIMITS });
		for (const line of told) {
			const [shard = 0, block = 0] = line.split(" ").map(Number);
			const bytes = await store.read(id, { shard, first: block, count: 1 });
			const at = block * 65_536;
			const expected = title.shardFiles[shard]!.subarray(at, at + 65_536);
			if (!bytes?.equals(expected)) t.fail(`block ${line} is lost`);
		}
		for (const shard of manifest.shards.keys()) await put(store, title, shard);
		t.equal(store.inventory(id)!.held.count, 21, "filled up from there");
		await store.close();
	}
});

t.test("half a block in a .part is not taken for a whole one", async (t) => {
	const folder = t.testdir();
	const first = await ShardStore.open({ folder, ...LIMITS });
	await put(first, title, 0, [0, 1, 2]);
	await first.close();
	const torn = title.shardFiles[0]!.subarray(3 * 65_536, 3 * 65_536 + 40_000);
	const { open } = await import("node:fs/promises");
	const handle = await open(join(folder, id, "0.part"), "r+");
	await handle.write(torn, 0, torn.length, 3 * 65_536);
	await handle.close();
	const again = await ShardStore.open({ folder, ...LIMITS });
	await again.leaves(id, 0);
	t.same([...again.inventory(id)!.partial[0]!.blocks], [0, 1, 2]);
	await again.close();
});

t.test("leftovers are looked through without being asked for", async (t) => {
	const folder = t.testdir();
	const first = await ShardStore.open({ folder, ...LIMITS });
	await put(first, title, 4, [7]);
	await put(first, title, 5);
	await first.close();
	const place = join(folder, id);
	// Killed between the last block and the final name.
	renameSync(join(place, "5"), join(place, "5.part"));
	// Killed before the leaves were there.
	writeFileSync(join(place, "6.part"), Buffer.alloc(70_000));
	const again = await ShardStore.open({ folder, ...LIMITS });
	const before = again.usedBytes;
	t.ok(before > blocksIn(manifest, 5) * 65_536, "they count from the start");
	await until(() => again.inventory(id)!.held.has(5));
	await until(() => again.hasBlock(id, 4, 7));
	await until(() => !existsSync(join(place, "6.part")));
	t.ok(existsSync(join(place, "5")));
	t.notOk(existsSync(join(place, "5.part")));
	await again.close();
});
