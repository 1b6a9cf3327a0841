import t from "tap";
import { Ledger } from "../../src/act/ledger.ts";
import { Room } from "../../src/act/room.ts";
import { Reporter } from "../../src/agent/reporter.ts";
import { Space, sizeOf } from "../../src/agent/space.ts";
import { silent } from "../../src/base/log.ts";
import { ShardStore } from "../../src/store/store.ts";
import { Happenings, heard } from "../control/operator.ts";
import { makeTitle, put } from "../fixture.ts";

const QUOTA = 1_000_000;
const STEP = QUOTA / 10;
const title = makeTitle(100_000);

t.test("a disk that others fill takes the quota's place", async (t) => {
	const gift = { quota: QUOTA, reserve: 0, streamingShare: 0.25 };
	const store = await ShardStore.open({
		folder: t.testdir(),
		...sizeOf(QUOTA, gift),
		log: silent,
	});
	t.teardown(() => store.close());
	await put(store, title, 0);
	await put(store, title, 1);
	const used = store.usedBytes;
	let free: number | Error = 10 * QUOTA;
	const lines = new Happenings<string>();
	const space = await Space.watch({
		store,
		gift,
		free: async () => {
			if (typeof free === "number") return free;
			throw free;
		},
		log: heard(lines),
	});
	t.teardown(() => space.close());
	const reporter = new Reporter({
		budget: { isSpent: false, written: { boot: 0, all: 0 } },
		space,
		aging: { wear: undefined },
		store,
		room: new Room({
			...{ store, isPlaced: () => true, log: silent },
			copies: () => undefined,
		}),
		neighbours: () => 0,
		control: { report() {}, fill() {} },
		ledger: new Ledger(),
		notifier: { status() {} },
		log: silent,
	});
	t.teardown(() => reporter.close());
	/** What the headend is told, and whether the log says that it changed. */
	const told = async (now: number | Error) => {
		const from = lines.all.length;
		free = now;
		await space.look();
		const { capacity, usedSpace, streamingShare } = reporter.levels();
		t.equal(usedSpace, used);
		t.equal(streamingShare, Math.floor(capacity / 4));
		return [capacity, lines.all.slice(from).map((line) => line.slice(0, 8))];
	};
	t.same(await told(10 * QUOTA), [QUOTA, []]);
	t.same(await told(QUOTA - used), [QUOTA, []], "there is just enough");
	const small = used + 5 * STEP - STEP;
	t.same(await told(5 * STEP), [small, ["room for"]]);
	t.same(await told(6 * STEP), [small, []], "too little to plan anew for");
	t.same(await told(new Error("EIO")), [small, ["the disk"]]);
	t.same(await told(0), [used - Math.min(used, STEP), ["room for"]]);
	await t.rejects(put(store, title, 2), { code: "STORE_FULL" });
	t.same(await told(10 * QUOTA), [QUOTA, ["room for"]]);
	await put(store, title, 2);
});

t.test("a disk that is small from the start", async (t) => {
	const gift = { quota: QUOTA, reserve: STEP, streamingShare: 1 };
	const store = await ShardStore.open({
		folder: t.testdir(),
		...sizeOf(QUOTA, gift),
		log: silent,
	});
	t.teardown(() => store.close());
	const free = async () => 4 * STEP;
	const space = await Space.watch({ store, gift, free, log: silent });
	t.teardown(() => space.close());
	t.equal(store.capacity, 2 * STEP);
	t.equal(store.streamingShare, 2 * STEP, "nothing is placed on it");
});
