import t, { type Test } from "tap";
import type { HolderBook } from "../../src/act/ports.ts";
import { LarderError } from "../../src/base/errors.ts";
import { MINUTE, monotonic } from "../../src/base/time.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import type { Figures } from "../../src/plan/session.ts";
import { VIEWER_PATIENCE } from "../../src/plan/source.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import type { Misses } from "../../src/wire/quality.ts";
import { type BoxSettings, hold, makeTitle, type TestBox } from "../fixture.ts";
import { makeRegion, meet, type TestRegion } from "../swarm/region.ts";

const title = makeTitle(2 * MiB, 64 * KiB, 16);
const { id } = title;
const BLOCKS = 4;
const LENGTH = BLOCKS * 64 * KiB;
/** A title of ten seconds: all of it is needed soon. */
const common = { titles: [title], duration: 10 };
const stranger = "5".repeat(64) as BoxId;

/** Who is to hold each shard. */
function book(...boxes: readonly BoxId[]): HolderBook {
	return { dial: () => undefined, before: () => boxes };
}

interface Viewer {
	readonly box: TestBox;
	/** Plays the beginning as a player does, or fails to; gives what is told of it. */
	play(sid?: string): Promise<Figures | undefined>;
}

async function viewerIn(
	region: TestRegion,
	settings: Partial<BoxSettings> = {},
): Promise<Viewer> {
	const told: Figures[] = [];
	const box = await region.box("viewer", {
		...common,
		onWatched: (_, figures) => told.push(figures),
		...settings,
	});
	return {
		box,
		async play(sid) {
			const { signal } = new AbortController();
			const began = monotonic();
			const word = sid === undefined ? undefined : { sid, bs: false };
			try {
				const open = await box.library.open(id, signal);
				const playing = { offset: 0, length: LENGTH, began, word };
				for await (const _ of open.play(playing, signal));
			} catch (error) {
				t.type(error, LarderError);
			}
			box.audience.look(monotonic() + MINUTE);
			return told.pop();
		},
	};
}

interface Case {
	readonly name: string;
	readonly misses: Misses;
	readonly viewer?: Partial<BoxSettings>;
	/** What a neighbour that holds the title is like. */
	readonly holder?: Partial<BoxSettings>;
	readonly before?: (holder: TestBox, viewer: TestBox) => Promise<void> | void;
}

const denied: Partial<BoxSettings> = {
	keys: {
		open: async () => {
			throw new LarderError("TITLE_KEY_DENIED", "not this box");
		},
	},
};

const cases: readonly Case[] = [
	{ name: "a neighbour gives it all", holder: {}, misses: {} },
	{ name: "nobody is to hold it", misses: { "not-placed": BLOCKS } },
	{
		name: "who is to hold it is away",
		viewer: { holders: book(stranger) },
		misses: { "holder-offline": BLOCKS },
	},
	{
		name: "the household of who holds it is busy",
		holder: {},
		before: (holder) => holder.swarm.give("none"),
		misses: { "holder-busy": BLOCKS },
	},
	{
		name: "who holds it is too slow",
		holder: { up: 4 * KiB },
		misses: { "too-slow": BLOCKS },
	},
	{
		name: "who holds it lies",
		holder: { spoil: (bytes) => Buffer.alloc(bytes.length) },
		misses: { "verification-failed": BLOCKS },
	},
	{ name: "no key", viewer: denied, misses: { entitlement: 1 } },
];
for (const { name, misses, viewer: own, holder: other, before } of cases)
	t.test(name, async (t: Test) => {
		const region = await makeRegion(t, title);
		const viewer = await viewerIn(region, own);
		if (other !== undefined) {
			const holder = await region.box("holder", { ...common, ...other });
			await hold(holder, title);
			await meet(viewer.box, holder);
			await before?.(holder, viewer.box);
		}
		const figures = await viewer.play();
		t.same(figures?.misses, misses);
		const missed = Object.values(misses).reduce((sum, count) => sum + count, 0);
		if (misses.entitlement) return;
		const origin = missed > 0 ? LENGTH : 0;
		t.match(figures, {
			origin,
			neighbours: LENGTH - origin,
			disk: 0,
			seeks: 0,
		});
		t.equal(figures?.starts.length, 1);
	});

t.test("a disk that cannot be read", async (t) => {
	const region = await makeRegion(t, title);
	let broken = false;
	const viewer = await viewerIn(region, {
		disk: (store) =>
			new Proxy(store, {
				get(target, name) {
					if (name === "read" && broken)
						return async () => {
							throw new LarderError("STORE_UNUSABLE", "EIO");
						};
					const value: unknown = Reflect.get(target, name);
					return typeof value === "function" ? value.bind(target) : value;
				},
			}),
	});
	await hold(viewer.box, title);
	t.match(await viewer.play(), { disk: LENGTH, misses: {} });
	broken = true;
	t.match(await viewer.play(), { origin: LENGTH, misses: { disk: BLOCKS } });
});

t.test("nobody can give it at all", async (t) => {
	const region = await makeRegion(t, title);
	const patience = { ...VIEWER_PATIENCE, giveUp: 500 };
	const viewer = await viewerIn(region, { patience });
	await viewer.box.store.putManifest(id, title.manifestBytes);
	region.origin.close();
	t.match(await viewer.play(), { starts: [], misses: { "not-placed": 1 } });
});

t.test("players are told apart by what they call themselves", async (t) => {
	const region = await makeRegion(t, title);
	const viewer = await viewerIn(region);
	await hold(viewer.box, title);
	for (const sid of ["a", "b"])
		t.equal((await viewer.play(sid))?.starts.length, 1, "each starts");
	t.equal(await viewer.play("a"), undefined, "the same once more is no news");
});

t.test("what nobody plays is nobody's evening", async (t) => {
	const region = await makeRegion(t, title);
	const viewer = await viewerIn(region);
	const { signal } = new AbortController();
	const open = await viewer.box.library.open(id, signal);
	for await (const _ of open.read(0, LENGTH, signal));
	viewer.box.audience.look(monotonic() + MINUTE);
	t.equal(await viewer.play().then((figures) => figures?.starts.length), 1);
});
