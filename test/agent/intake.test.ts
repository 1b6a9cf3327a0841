import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Room } from "../../src/act/room.ts";
import { Intake } from "../../src/agent/intake.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, SECOND } from "../../src/base/time.ts";
import type { Bytes } from "../../src/base/units.ts";
import { shardFileBytes } from "../../src/content/geometry.ts";
import { besides } from "../../src/store/scan.ts";
import { ShardStore } from "../../src/store/store.ts";
import { makeTitle, until } from "../fixture.ts";

const title = makeTitle(4 * 8 * 4096);

/**
 * A box on which a title is placed, with its inbox, in which some shards lie whose files say that they were written then.
 * @param share what the box has for shards when they are not placed
 */
async function scene(
	t: Test,
	shards: Record<number, number>,
	share: Bytes | undefined = undefined,
) {
	const dir = t.testdir();
	const folder = join(dir, "inbox");
	const place = join(folder, title.id);
	mkdirSync(place, { recursive: true });
	writeFileSync(join(place, "manifest"), title.manifestBytes);
	for (const [shard, at] of Object.entries(shards)) {
		const path = join(place, shard);
		writeFileSync(path, title.shardFiles[Number(shard)] ?? "");
		utimesSync(path, at / SECOND, at / SECOND);
	}
	const store = await ShardStore.open({
		...{ folder: join(dir, "shards"), capacity: 1e9 },
		streamingShare: share ?? 0,
		log: silent,
	});
	t.teardown(() => store.close());
	const isPlaced = () => share === undefined;
	const room = new Room({ store, isPlaced, copies: () => 0, log: silent });
	const intake = await Intake.open({
		...{ folder, store, room, isPlaced, may: () => true },
		...{ isListed: async () => true, log: silent },
	});
	t.teardown(() => intake.close());
	return { store, intake, place };
}

t.test("the clock that a file was written by may be any", async (t) => {
	const now = Date.now();
	const { store, intake, place } = await scene(t, {
		0: now - DAY,
		1: now + 365 * DAY,
		2: 0,
	});
	await until(() => intake.figures.taken === 3);
	t.same([...(store.inventory(title.id)?.held ?? [])], [0, 1, 2]);
	await until(() => !existsSync(place));
	t.pass("and its folder is gone");
});

t.test("what may still be written to waits", async (t) => {
	const { store, intake, place } = await scene(t, {
		0: Date.now() + 4 * SECOND,
		1: 0,
	});
	await until(() => intake.figures.taken === 1);
	t.same([...(store.inventory(title.id)?.held ?? [])], [1]);
	t.ok(existsSync(join(place, "0")));
});

t.test(
	"what is not placed drives out nothing, least what came with it",
	async (t) => {
		const two =
			besides(title.manifestBytes.length) +
			2 * shardFileBytes(title.manifest, 0);
		const { store, intake, place } = await scene(
			t,
			{ 0: 0, 1: 0, 2: 0, 3: 0 },
			two,
		);
		await until(() => intake.figures.taken + intake.figures.waiting === 4);
		const held = [...(store.inventory(title.id)?.held ?? [])];
		t.equal(held.length, 2, "there is room for two");
		t.equal(intake.figures.waiting, 2);
		for (const shard of [0, 1, 2, 3])
			t.not(
				held.includes(shard),
				existsSync(join(place, `${shard}`)),
				`shard ${shard} is in the store, or in the inbox`,
			);
	},
);
