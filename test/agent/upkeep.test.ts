import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Upkeep, type UpkeepOptions } from "../../src/agent/upkeep.ts";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import type { BlockRun } from "../../src/content/geometry.ts";
import { ShardStore } from "../../src/store/store.ts";
import { hold, makeTitle, put, until } from "../fixture.ts";
import { has, makeRegion, meet } from "../swarm/region.ts";

const title = makeTitle(8 * 8 * 4096);
const { id } = title;
const shards = `0-${title.manifest.shards.length - 1}`;

t.test("a flipped bit is found, dropped and fetched again", async (t) => {
	const region = await makeRegion(t, title);
	const neighbour = await region.box("neighbour");
	await hold(neighbour, title);
	const folder = t.testdir();
	const box = await region.box("box", { folder });
	await meet(box, neighbour);
	await hold(box, title);
	box.reconciler.place([{ id, ranks: [{ rank: 1, shards }] }]);
	await until(() => box.progress()?.plan.phase === "applied");
	// It was read before, and was good then.
	await box.store.read(id, { shard: 5, first: 0, count: 8 });
	const path = join(folder, "shards", id, "5");
	const bytes = readFileSync(path);
	bytes[3 * 4096 + 7]! ^= 1;
	writeFileSync(path, bytes);
	const { from } = box.traffic;
	const upkeep = await Upkeep.open({
		...{ store: box.store, path: join(folder, "scrub.json"), every: 1 },
		...{ ran: () => 0, isIdle: () => true, log: silent },
	});
	t.teardown(() => upkeep.close());
	await until(() => box.store.disk.report.changed === 1);
	await until(() => box.traffic.from > from);
	await until(() => box.store.inventory(id)?.held.full === true);
	t.ok(await has(box, title), "byte for byte");
	t.equal(box.traffic.from - from, 4096, "one block came");
	t.equal(region.origin.sent(), 0, "from next door");
});

t.test("a pass goes on where it was, and the next one rests", async (t) => {
	const folder = t.testdir();
	const store = await ShardStore.open({
		...{ folder: join(folder, "shards"), capacity: 1e9 },
		...{ streamingShare: 0, log: silent },
	});
	t.teardown(() => store.close());
	for (const shard of title.manifest.shards.keys())
		await put(store, title, shard);
	const read: number[] = [];
	let isIdle = true;
	const time = { ran: 0 };
	const watched = new Proxy(store, {
		get(target, name) {
			if (name !== "recheck") {
				const value: unknown = Reflect.get(target, name);
				return typeof value === "function" ? value.bind(target) : value;
			}
			return async (title: typeof id, run: BlockRun) => {
				read.push(run.shard);
				if (run.shard === 3) isIdle = false;
				return await target.recheck(title, run);
			};
		},
	});
	const options: UpkeepOptions = {
		...{ store: watched, path: join(folder, "scrub.json"), every: 1 },
		...{ ran: () => time.ran, isIdle: () => isIdle, log: silent },
	};
	const first = await Upkeep.open(options);
	await until(() => read.length === 4);
	await first.close();
	t.same(read, [0, 1, 2, 3], "it stops when somebody plays");
	isIdle = true;
	const second = await Upkeep.open(options);
	await until(() => read.length >= 7);
	await until(() => read.at(-1) === 7);
	t.same(read.slice(4), [4, 5, 6, 7]);
	await second.close();
	rmSync(join(folder, "scrub.json"));
	writeFileSync(join(folder, "scrub.json"), JSON.stringify({ ended: DAY }));
	time.ran = 7 * DAY;
	const third = await Upkeep.open(options);
	await third.close();
	t.equal(read.length, 8, "not before a week has passed");
	time.ran = 8 * DAY;
	const fourth = await Upkeep.open(options);
	await until(() => read.length > 8);
	await fourth.close();
	t.equal(read[8], 0, "from the beginning");
});
