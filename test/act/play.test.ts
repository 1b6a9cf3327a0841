import t from "tap";
import type { OpenTitle, Store } from "../../src/act/ports.ts";
import { LarderError } from "../../src/base/errors.ts";
import { HOUR, MINUTE, monotonic, SECOND, sleep } from "../../src/base/time.ts";
import { type Bytes, KiB, MiB } from "../../src/base/units.ts";
import { VIEWER_PATIENCE } from "../../src/plan/source.ts";
import type { ShardStore } from "../../src/store/store.ts";
import { hold, keyOf, makeTitle, type TestBox, until } from "../fixture.ts";
import { fill, makeRegion, meet, watch } from "../swarm/region.ts";
import { type Rogue, sneakIn } from "../swarm/stranger.ts";

const title = makeTitle(24 * MiB, 64 * KiB, 16);
const { id, manifest, plaintext } = title;
const titles = [title];
const file = title.shardFiles[0]?.length ?? 0;

/** The disk of a box, with some of what it does done otherwise. */
function spoiled(
	change: (store: ShardStore) => Partial<Store>,
): (store: ShardStore) => Store {
	return (store) => {
		const changed = change(store);
		return new Proxy(store, {
			get(target, name) {
				if (name in changed) return Reflect.get(changed, name);
				const value: unknown = Reflect.get(target, name);
				return typeof value === "function" ? value.bind(target) : value;
			},
		});
	};
}

function reader(open: OpenTitle, signal: AbortSignal) {
	return open.read(0, manifest.size, signal)[Symbol.asyncIterator]();
}

function counted({ ledger }: TestBox) {
	const { playedFromDisk, playedFromNeighbours, playedFromOrigin } =
		ledger.counters;
	return [playedFromDisk, playedFromNeighbours, playedFromOrigin];
}

t.test("each block comes once, however many watch it", async (t) => {
	const region = await makeRegion(t, title);
	const viewer = await region.box("viewer", { titles });
	const films = await Promise.all([
		watch(viewer, title),
		watch(viewer, title),
		watch(viewer, title, 10 * MiB + 1, 3 * MiB),
	]);
	t.ok(films[0]?.equals(plaintext));
	t.ok(films[1]?.equals(plaintext));
	t.ok(films[2]?.equals(plaintext.subarray(10 * MiB + 1, 13 * MiB + 1)));
	const all = title.shardFiles.reduce((sum, { length }) => sum + length, 0);
	t.ok(region.origin.sent() <= all * 1.01, `${region.origin.sent() / all}`);
	const before = region.origin.sent();
	t.ok((await watch(viewer, title)).equals(plaintext));
	t.equal(region.origin.sent(), before, "and again from the disk");
	const [disk = 0] = counted(viewer);
	t.ok(disk >= manifest.size);
});

t.test("the streaming share is kept, the beginning stays", async (t) => {
	const region = await makeRegion(t, title);
	// The manifest comes out of it, too.
	const streamingShare = 9 * file + 64 * KiB;
	const viewer = await region.box("viewer", { titles, streamingShare });
	let most = 0;
	viewer.store.onChange(() => {
		most = Math.max(most, viewer.store.inventory(id)?.bytes ?? 0);
	});
	t.ok((await watch(viewer, title)).equals(plaintext));
	await until(() => !viewer.fetcher.isFetching(id));
	await viewer.room.settled;
	t.ok(most <= streamingShare + file, `${most / file} shards at most`);
	t.ok(viewer.room.bytes <= streamingShare);
	const { held } = viewer.store.inventory(id) ?? {};
	t.ok(held?.has(0), "the beginning is there");
	t.notOk(held?.full, "something went");
	t.ok(held?.has(manifest.shards.length - 1), "the end is there");
});

t.test("a clock that is set back keeps no title open", async (t) => {
	const ticks: (() => void)[] = [];
	const { setInterval } = globalThis;
	t.intercept(globalThis, "setInterval", {
		value: (tick: () => void, every: number) => {
			if (every === 15 * SECOND) ticks.push(tick);
			return setInterval(tick, every);
		},
	});
	const region = await makeRegion(t, title);
	const viewer = await region.box("viewer", { titles });
	await watch(viewer, title, 0, MiB);
	t.ok(viewer.library.isOpen(id));
	const [wall, passed] = [Date.now(), performance.now()];
	t.intercept(Date, "now", { value: () => wall - HOUR });
	t.intercept(performance, "now", { value: () => passed + MINUTE });
	for (const tick of ticks) tick();
	await until(() => !viewer.library.isOpen(id));
});

t.test("no room to keep anything: the film plays all the same", async (t) => {
	const region = await makeRegion(t, title);
	const viewer = await region.box("viewer", { titles, streamingShare: 0 });
	t.ok((await watch(viewer, title)).equals(plaintext));
	t.equal(viewer.store.inventory(id)?.bytes, 0);
});

t.test("a neighbour that keeps up is enough, once the film runs", async (t) => {
	const region = await makeRegion(t, title);
	// The first half of the title plays for two minutes: 100 KiB a second.
	const holder = await region.box("holder", { up: 150 * KiB });
	await hold(holder, title);
	const viewer = await region.box("viewer", { titles, duration: 120 });
	await meet(viewer, holder);
	const before = region.origin.sent();
	const part = await watch(viewer, title, 0, 4 * MiB);
	t.ok(part.equals(plaintext.subarray(0, 4 * MiB)));
	// What is needed in the first seconds comes from whoever is surest.
	const sent = region.origin.sent() - before;
	t.ok(sent <= 1.25 * MiB, `${sent / KiB} KiB came over the trunk`);
});

t.test("a player that goes away ends what it had asked for", async (t) => {
	const region = await makeRegion(t, title);
	const holder = await region.box("holder", { up: MiB });
	await hold(holder, title);
	const viewer = await region.box("viewer", { titles });
	await meet(viewer, holder);
	const player = new AbortController();
	const open = await viewer.library.open(id, player.signal);
	const film = reader(open, player.signal);
	for (let parts = 0; parts < 4; parts++) await film.next();
	t.ok(viewer.fetcher.isFetching(id));
	for (const { inFlight, window } of viewer.swarm.candidates(id, 0))
		t.ok(inFlight <= 2 * window, `${inFlight} of ${window} in flight`);
	player.abort(new Error("gone"));
	await t.rejects(film.next());
	await until(() => !viewer.fetcher.isFetching(id));
	const candidates = () => viewer.swarm.candidates(id, 0);
	await until(() => candidates().every(({ inFlight }) => inFlight === 0));
	t.ok(viewer.traffic.from < 12 * MiB, `${viewer.traffic.from / MiB} MiB came`);
});

t.test("what is fetched ahead is bounded", async (t) => {
	const region = await makeRegion(t, title);
	const holder = await region.box("holder");
	await hold(holder, title);
	const viewer = await region.box("viewer", { titles });
	await meet(viewer, holder);
	const { signal } = new AbortController();
	const open = await viewer.library.open(id, signal);
	const film = reader(open, signal);
	let taken = 0;
	for (let parts = 0; parts < 8; parts++) {
		const { value } = await film.next();
		taken += value?.length ?? 0;
	}
	// A player that takes nothing more: all that is on its way comes, and no more is asked for.
	await until(() => !viewer.fetcher.isFetching(id));
	t.ok(viewer.traffic.from >= 4 * MiB, "some is");
	const most = taken + 8 * MiB;
	t.ok(viewer.traffic.from <= most, `${viewer.traffic.from} of ${most}`);
	await film.return?.();
});

t.test("a disk slower than the player does not fill the memory", async (t) => {
	const region = await makeRegion(t, title);
	const hung = Promise.withResolvers<void>();
	let waiting: Bytes = 0;
	let most: Bytes = 0;
	const viewer = await region.box("viewer", {
		titles,
		disk: spoiled((store) => ({
			async putBlock(...put) {
				waiting += put[3].length;
				most = Math.max(most, waiting);
				await hung.promise;
				await store.putBlock(...put);
			},
		})),
	});
	t.ok((await watch(viewer, title)).equals(plaintext));
	t.ok(most > 0);
	t.ok(most <= 10 * MiB, `${most / MiB} MiB waited for the disk`);
	hung.resolve();
	await until(() => !viewer.fetcher.isFetching(id));
	t.ok(viewer.store.inventory(id)?.bytes, "what waited is kept");
});

const FAULTS: Record<string, (store: ShardStore) => Partial<Store>> = {
	"cannot be written": () => ({
		putBlock: async () => {
			throw new LarderError("STORE_UNUSABLE", "EIO");
		},
	}),
	"is full": () => ({
		putLeaves: async () => {
			throw new LarderError("STORE_FULL", "ENOSPC");
		},
	}),
	"takes not even a manifest": () => ({
		putManifest: async () => {
			throw new LarderError("STORE_FULL", "ENOSPC");
		},
	}),
	"cannot be read": () => ({
		read: async () => {
			throw new LarderError("STORE_UNUSABLE", "EIO");
		},
	}),
};
for (const [what, fault] of Object.entries(FAULTS))
	t.test(`a disk that ${what} does not stop the film`, async (t) => {
		const region = await makeRegion(t, title);
		const disk = spoiled(fault);
		const viewer = await region.box("viewer", { titles, disk });
		t.ok((await watch(viewer, title)).equals(plaintext));
	});

t.test("nobody has it: the viewer is told in the end", async (t) => {
	const region = await makeRegion(t, title);
	const patience = { ...VIEWER_PATIENCE, giveUp: 500 };
	const viewer = await region.box("viewer", { titles, patience });
	const before = await watch(viewer, title, 0, 100);
	t.ok(before.equals(plaintext.subarray(0, 100)));
	region.origin.close();
	await t.rejects(watch(viewer, title, 20 * MiB), {
		code: "TITLE_UNAVAILABLE",
	});
	t.ok((await watch(viewer, title, 0, 100)).equals(before), "what is here is");
});

t.test("a key that ends takes the film with it", async (t) => {
	const region = await makeRegion(t, title);
	const leases: AbortController[] = [];
	const viewer = await region.box("viewer", {
		titles,
		keys: {
			async open() {
				const lease = new AbortController();
				leases.push(lease);
				return keyOf(title, lease);
			},
		},
	});
	const { signal } = new AbortController();
	const open = await viewer.library.open(id, signal);
	const film = reader(open, signal);
	await film.next();
	leases[0]?.abort(new LarderError("TITLE_KEY_EXPIRED", "over"));
	await t.rejects(film.next(), { code: "TITLE_KEY_EXPIRED" });
	await t.rejects(reader(open, signal).next(), { code: "TITLE_KEY_EXPIRED" });
	t.notOk(viewer.library.isOpen(id));
	const again = await watch(viewer, title, 0, 100);
	t.ok(again.equals(plaintext.subarray(0, 100)), "the next asks for a key");
	t.equal(leases.length, 2);
});

t.test("neighbours hear of what is missing here, and no more", async (t) => {
	const region = await makeRegion(t, title);
	const viewer = await region.box("viewer", { titles });
	await hold(viewer, title);
	const box = await sneakIn(region, viewer, "127.0.0.2");
	const headend = await sneakIn(region, viewer, "127.0.0.3", undefined, {
		role: "headend",
	});
	t.teardown(() => Promise.all([box.end(), headend.end()]));
	/** What a neighbour has heard of until it is answered itself. */
	const heard = async (rogue: Rogue) => {
		const { told } = rogue.heard;
		rogue.wants.send(id);
		await until(() => rogue.heard.told > told);
		return rogue.heard.wanted;
	};
	t.ok((await watch(viewer, title)).equals(plaintext));
	t.same(await heard(box), []);
	viewer.library.shut(id);
	await viewer.store.removeShard(id, 3);
	t.ok((await watch(viewer, title)).equals(plaintext));
	t.same(await heard(box), [id]);
	t.same(await heard(headend), [], "who holds no titles need not know");
});

t.test("many watch what nobody had: each piece comes once or so", async (t) => {
	const region = await makeRegion(t, title);
	const names = ["one", "two", "three", "four", "five", "six"];
	const boxes: TestBox[] = [];
	// The first half of the title plays for 24 seconds.
	for (const name of names)
		boxes.push(await region.box(name, { titles, duration: 24, up: MiB }));
	for (const box of boxes) {
		for (const other of boxes) if (box !== other) await meet(box, other);
		// The beginning is there: nothing is needed at once.
		await fill(box, title, true, [0, 1, 2, 3]);
	}
	const before = region.origin.sent();
	const end = 12 * MiB;
	await Promise.all(
		boxes.map(async (box) => {
			const began = monotonic();
			const { signal } = new AbortController();
			const open = await box.library.open(id, signal);
			let at = 0;
			// A player: in segments of two seconds, at most ten seconds ahead.
			while (at < end) {
				const ahead = (at / end) * 24 * SECOND - (monotonic() - began);
				if (ahead > 10 * SECOND) await sleep(ahead - 10 * SECOND);
				for await (const part of open.read(at, MiB, signal)) at += part.length;
			}
		}),
	);
	const copies = (region.origin.sent() - before) / (end - 4 * MiB);
	t.ok(copies <= 2, `${copies.toFixed(2)} copies came over the trunk`);
});
