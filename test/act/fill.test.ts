import { once } from "node:events";
import t from "tap";
import type { FetcherOptions } from "../../src/act/fetch/fetcher.ts";
import type { HolderBook } from "../../src/act/ports.ts";
import { MINUTE, monotonic } from "../../src/base/time.ts";
import { KiB } from "../../src/base/units.ts";
import { encodeRanges } from "../../src/wire/ranges.ts";
import { Happenings, heard } from "../control/operator.ts";
import { hold, makeTitle, put, type TestBox, until } from "../fixture.ts";
import { has, makeRegion, meet } from "../swarm/region.ts";

/** Eight shards of 64 KiB, and some. */
const title = makeTitle(500 * KiB, 4 * KiB, 16);
const { id, manifest } = title;
const shards = [...manifest.shards.keys()];
/** Shards at the origin, leaves included. */
const whole = title.shardFiles.reduce((sum, file) => sum + file.length, 0);

function place(box: TestBox, rank: number, which: readonly number[] = shards) {
	const ranks = which.length > 0 ? [{ rank, shards: encodeRanges(which) }] : [];
	box.reconciler.place(ranks.length > 0 ? [{ id, ranks }] : []);
}
const phaseOf = (box: TestBox) => box.progress()?.plan.phase;

t.test("rank 0 fetches from the origin, the others from it", async (t) => {
	const region = await makeRegion(t, title);
	const first = await region.box("first");
	const others = [await region.box("second"), await region.box("third")];
	for (const other of others) await meet(other, first);
	for (const [at, other] of others.entries()) place(other, at + 1);
	place(first, 0);
	for (const box of [first, ...others]) {
		await until(() => phaseOf(box) === "applied");
		t.ok(await has(box, title));
	}
	t.equal(region.origin.sent(), whole, "once over the trunk");
});

t.test("a dead rank 0: the next takes over, one after the other", async (t) => {
	const region = await makeRegion(t, title);
	const takeover = 300;
	const lines = new Happenings<string>();
	const log = heard(lines);
	const second = await region.box("second", { takeover, log });
	const third = await region.box("third", { takeover: 60_000 });
	await meet(third, second);
	place(third, 2);
	place(second, 1);
	for (const box of [second, third])
		await until(() => phaseOf(box) === "applied");
	t.equal(region.origin.sent(), whole, "no stampede");
	t.ok(third.traffic.from >= whole, "the third has all from the second");
	const asked = lines.all.filter((line) => /the origin is asked/.test(line));
	t.ok(asked.length > 0);
	for (const line of asked) t.match(line, id, "whole, for a log that veils it");
});

for (const isKnown of [true, false])
	t.test(
		`a rank 0 that ${isKnown ? "is there" : "nobody knows yet"} is waited for much longer`,
		async (t) => {
			const region = await makeRegion(t, title);
			const first = await region.box("first");
			const before = () => (isKnown ? [first.id] : undefined);
			const holders: HolderBook = { dial: () => {}, before };
			const second = await region.box("second", { takeover: 300, holders });
			await meet(second, first);
			place(second, 1);
			// Longer than the takeover, and much shorter than twelve of it.
			await new Promise((resolve) => setTimeout(resolve, 1000));
			t.equal(region.origin.sent(), 0, "it does not go past it");
			place(first, 0);
			await until(() => phaseOf(second) === "applied");
			t.equal(region.origin.sent(), whole);
		},
	);

t.test(
	"once who was waited for is gone, each rank waits its turn",
	async (t) => {
		const region = await makeRegion(t, title);
		const first = await region.box("first");
		let before = [first.id];
		const holders: HolderBook = { dial: () => {}, before: () => before };
		const takeover = 500;
		const third = await region.box("third", { takeover, holders });
		await meet(third, first);
		place(third, 2);
		// By now it would have been its turn.
		await new Promise((resolve) => setTimeout(resolve, 2.5 * takeover));
		t.equal(region.origin.sent(), 0);
		const left = monotonic();
		before = [];
		await first.close();
		await until(() => region.origin.sent() > 0);
		t.ok(monotonic() - left >= 2 * takeover, "the second has had its time");
	},
);

t.test(
	"what neighbours have and do not give is fetched from the origin in the end",
	async (t) => {
		const region = await makeRegion(t, title);
		const holder = await region.box("holder");
		await hold(holder, title);
		holder.swarm.give("none");
		const box = await region.box("box");
		await meet(box, holder);
		place(box, 1);
		// It is asked, and says that its household needs the line.
		await until(() => box.fetcher.isFetching(id));
		await until(() => !box.fetcher.isFetching(id));
		t.equal(region.origin.sent(), 0);
		const real = performance.now.bind(performance);
		t.intercept(performance, "now", { value: () => real() + 31 * MINUTE });
		await until(() => phaseOf(box) === "applied");
		t.equal(region.origin.sent(), whole);
	},
);

t.test("the origin budget holds filling, and no viewer", async (t) => {
	const region = await makeRegion(t, title);
	const asked = { bytes: 0 };
	const never = new Promise<void>(() => undefined);
	const pace: FetcherOptions["pace"] = (from, bytes, purpose) => {
		if (from !== "origin" || purpose !== "fill") return undefined;
		asked.bytes += bytes;
		return never;
	};
	const box = await region.box("box", { pace });
	place(box, 0, [0]);
	await until(() => asked.bytes > 0);
	t.equal(box.store.inventory(id)?.bytes, 0, "what came is not taken in");
	const viewed = box.fetcher.block(
		{ title: id, shard: 1, manifest },
		0,
		monotonic(),
	);
	t.ok((await viewed.result).bytes.length > 0);
});

t.test("what does not fit is short; room that comes is used", async (t) => {
	const region = await makeRegion(t, title);
	const file = title.shardFiles[0]?.length ?? 0;
	const box = await region.box("box", {
		capacity: 5 * file,
		streamingShare: 2 * file,
	});
	place(box, 0);
	await until(() => phaseOf(box) === "short");
	t.match(box.progress()?.plan, { heldShards: 3, placedShards: 8 });
	t.equal(box.progress()?.trouble, undefined);
	t.ok((box.store.inventory(id)?.bytes ?? 0) <= 3 * file);
	t.equal(box.progress()?.plan.missingBytes, whole - 3 * file);

	place(box, 0, [0, 1, 2]);
	await until(() => phaseOf(box) === "applied");
	place(box, 0, [5]);
	await until(() => box.store.inventory(id)?.held.has(5) === true);
	await until(() => (box.store.inventory(id)?.bytes ?? 0) <= 3 * file);
	t.pass("what is placed no more is what was watched once: it makes room");
});

t.test("a withdrawn shard is not fetched to its end", async (t) => {
	const region = await makeRegion(t, title);
	const sender = await region.box("sender", { up: 64 * KiB });
	await hold(sender, title);
	const box = await region.box("box");
	await meet(box, sender);
	place(box, 1);
	await until(() => box.traffic.from > 16 * KiB);
	place(box, 1, []);
	await until(() => !box.fetcher.isFetching(id));
	t.notOk(box.store.inventory(id)?.held.count === shards.length);
	t.equal(phaseOf(box), "applied", "of nothing");
});

t.test("a purged title leaves the disk while it is filled", async (t) => {
	const region = await makeRegion(t, title);
	const sender = await region.box("sender", { up: 64 * KiB });
	await hold(sender, title);
	const box = await region.box("box");
	await meet(box, sender);
	place(box, 1);
	await until(() => box.traffic.from > 16 * KiB);
	box.reconciler.purge([id]);
	await until(() => box.store.titles().length === 0);
	await until(() => box.store.usedBytes === 0);
});

t.test("an origin that fails is trouble, and is tried again", async (t) => {
	const region = await makeRegion(t, title);
	let failing = true;
	const { server } = region.origin;
	const [answer] = server.listeners("request");
	server.removeAllListeners("request");
	server.on("request", (request, response) => {
		const isShard = !request.url?.endsWith("manifest");
		if (failing && isShard) response.writeHead(500).end();
		else answer?.call(server, request, response);
	});
	const box = await region.box("box");
	place(box, 0, [0]);
	await until(() => box.progress()?.trouble !== undefined);
	t.equal(box.progress()?.trouble?.code, "ORIGIN_FAILED");
	t.equal(phaseOf(box), "fetching");
	failing = false;
	await until(() => phaseOf(box) === "applied");
	t.equal(box.progress()?.trouble, undefined);
});

t.test("what an earlier run began is finished, not begun again", async (t) => {
	const region = await makeRegion(t, title);
	const box = await region.box("box");
	await put(box.store, title, 0, [0, 1, 2, 3, 4, 5, 6, 7]);
	place(box, 0, [0]);
	await until(() => phaseOf(box) === "applied");
	t.equal(region.origin.sent(), 8 * 4 * KiB);
});

t.test("closing ends what is under way and loses nothing", async (t) => {
	const region = await makeRegion(t, title);
	const sender = await region.box("sender", { up: 64 * KiB });
	await hold(sender, title);
	const box = await region.box("box");
	await meet(box, sender);
	place(box, 1);
	const came = new AbortController();
	box.store.onChange(() => came.abort());
	await once(came.signal, "abort");
	await box.reconciler.close();
	await box.fetcher.close();
	const { held, partial } = box.store.inventory(id) ?? {};
	t.ok((held?.count ?? 0) + (partial?.length ?? 0) > 0);
});
