import t, { type Test } from "tap";
import { Bitfield } from "../../src/content/bitfield.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import {
	MAX_INTERESTS,
	MAX_PARTIALS,
	MAX_SHARDS,
} from "../../src/wire/inventory.ts";
import type { Certificate } from "../../src/wire/membership.ts";
import { encodeRanges } from "../../src/wire/ranges.ts";
import { hold, makeTitle, type TestBox, until } from "../fixture.ts";
import { fill, has, makeRegion, meet, type TestRegion } from "./region.ts";
import { type Rogue, sneakIn } from "./stranger.ts";

t.setTimeout(120_000);

const title = makeTitle(200_000, 4096, 8);
const { id, manifest } = title;
const NOTHING = new Uint8Array(0);
const ask = { wanted: "blocks", title: id, urgent: false, count: 1 } as const;

function title32(n: number): TitleId {
	return n.toString(16).padStart(64, "0") as TitleId;
}

interface Scene {
	readonly region: TestRegion;
	/** Holds the title and wants news of it. */
	readonly box: TestBox;
	readonly rogue: Rogue;
}

async function scene(t: Test, changes?: Partial<Certificate>): Promise<Scene> {
	const region = await makeRegion(t);
	const box = await region.box("box");
	await hold(box, title);
	box.swarm.watch(id);
	const rogue = await sneakIn(region, box, undefined, undefined, changes);
	t.teardown(() => rogue.end());
	// Who holds no titles is not told which are wanted.
	const isBox = changes?.role !== "headend";
	await until(() => rogue.heard.wanted.includes(id) === isBox);
	return { region, box, rogue };
}

/** The box cuts the rogue off and serves others as before. */
async function cutsOff(t: Test, { region, box, rogue }: Scene): Promise<void> {
	await rogue.closed;
	await until(() => !box.swarm.neighbours.has(rogue.id));
	box.swarm.dial([rogue.id]);
	t.notOk(box.swarm.isConnected(rogue.id), "it stays away");
	const honest = await region.box("honest");
	await meet(honest, box);
	await fill(honest, title);
	t.ok(await has(honest, title));
}

const OFFENCES: Record<string, (rogue: Rogue) => void> = {
	"a shard without end": ({ deltas }) =>
		deltas.send({ title: id, shard: 2 ** 52, held: true, blocks: NOTHING }),
	"a shard beyond any manifest": ({ deltas }) =>
		deltas.send({ title: id, shard: MAX_SHARDS, held: true, blocks: NOTHING }),
	"more blocks than a shard has": ({ deltas }) =>
		deltas.send({
			...{ title: id, shard: 0, held: false },
			blocks: new Uint8Array(513),
		}),
	"more shards than a title has": ({ answers }) =>
		answers.send({
			...{ title: id, partial: [] },
			shards: new Uint8Array(MAX_SHARDS / 8 + 1),
		}),
	"a partial shard beyond any manifest": ({ answers }) =>
		answers.send({
			...{ title: id, shards: NOTHING },
			partial: [{ shard: 2 ** 52, blocks: new Uint8Array(1) }],
		}),
	"a flood of requests": ({ requests }) => {
		for (let n = 1; n <= 5000; n++) {
			requests.send({ ...ask, id: n, shard: 0, first: 0 });
		}
	},
	"an id used twice": ({ requests }) => {
		for (let n = 0; n < 2; n++) {
			requests.send({ ...ask, id: 1, shard: 0, first: n, count: 4 });
		}
	},
};

for (const [offence, commit] of Object.entries(OFFENCES)) {
	t.test(`who sends ${offence} is cut off`, async (t) => {
		const at = await scene(t);
		commit(at.rogue);
		await cutsOff(t, at);
	});
}

/** What a headend's node never does. */
const PRESUMPTIONS: Record<string, (rogue: Rogue) => void> = {
	"tells of titles": ({ answers }) =>
		answers.send({ title: id, shards: new Uint8Array([1]), partial: [] }),
	"asks for titles": ({ requests }) =>
		requests.send({ ...ask, id: 1, shard: 0, first: 0 }),
};

for (const [what, presume] of Object.entries(PRESUMPTIONS)) {
	t.test(`who came as a headend and ${what} is cut off`, async (t) => {
		const at = await scene(t, { role: "headend" });
		const { rogue } = at;
		rogue.answers.send({ title: id, shards: NOTHING, partial: [] });
		presume(rogue);
		await cutsOff(t, at);
		t.equal(rogue.heard.chunks.length, 0);
	});
}

t.test("who asks about thousands of titles hears of some", async (t) => {
	const { box, rogue } = await scene(t);
	const titles = Array.from({ length: 20_000 }, (_, n) => title32(n));
	for (const each of titles) rogue.wants.send(each);
	rogue.requests.send({ ...ask, id: 1, shard: 0, first: 0 });
	await until(() => rogue.heard.chunks.length === 1);
	t.equal(rogue.heard.told, MAX_INTERESTS);
	for (const each of titles) rogue.unwants.send(each);
	rogue.wants.send(id);
	await until(() => rogue.heard.told > MAX_INTERESTS);
	t.ok(box.swarm.neighbours.has(rogue.id), "and may ask about others later");
});

t.test(
	"who asks and takes back without end costs one read at a time",
	async (t) => {
		const { region, box, rogue } = await scene(t);
		for (let n = 0; n < 50_000; n++) {
			rogue.requests.send({ ...ask, id: n, shard: 0, first: 0, count: 4 });
			rogue.cancels.send(n);
		}
		const honest = await region.box("honest");
		await meet(honest, box);
		await fill(honest, title);
		t.ok(await has(honest, title), "others are served meanwhile");
		t.ok(box.swarm.neighbours.has(rogue.id));
		t.ok(rogue.heard.chunks.length < 5000, `${rogue.heard.chunks.length} came`);
	},
);

/** Frames that do not even decode. What decoding throws must not be what Protomux takes for a fault of this program. */
const FRAMES: Record<string, (rogue: Rogue) => void> = {
	"an unknown word": ({ requests }) => requests.send(Buffer.from([1, 200])),
	"an unknown refusal": ({ refusals }) => refusals.send(Buffer.from([1, 200])),
	"more partial shards than are told": ({ answers }) =>
		answers.send({
			...{ title: id, shards: NOTHING },
			partial: Array.from({ length: MAX_PARTIALS + 1 }, (_, shard) => ({
				shard,
				blocks: new Uint8Array(1),
			})),
		}),
	"a frame cut short": ({ cancels }) => cancels.send(Buffer.from([0xff])),
};

for (const [frame, send] of Object.entries(FRAMES)) {
	t.test(`${frame} ends the connection and not the box`, async (t) => {
		const { region, box, rogue } = await scene(t);
		send(rogue);
		await rogue.closed;
		await until(() => !box.swarm.neighbours.has(rogue.id));
		const honest = await region.box("honest");
		await meet(honest, box);
		await fill(honest, title);
		t.ok(await has(honest, title));
	});
}

t.test("what nobody asked for changes nothing", async (t) => {
	const { box, rogue } = await scene(t);
	const other = "ab".repeat(32) as TitleId;
	const shards = new Uint8Array([0xff]);
	rogue.answers.send({ title: other, shards, partial: [] });
	rogue.deltas.send({
		title: other,
		shard: 2 ** 52,
		held: true,
		blocks: shards,
	});
	for (let n = 0; n < 100_000; n++) rogue.cancels.send(n);
	for (let n = 0; n < 100; n++) {
		const bytes = Buffer.alloc(100_000);
		rogue.chunks.send({ id: n, offset: 0, total: 2 ** 52, bytes });
	}
	rogue.requests.send({ ...ask, id: 7, shard: 0, first: 0 });
	await until(() => rogue.heard.chunks.length === 1);
	t.ok(box.swarm.neighbours.has(rogue.id));
	t.same(box.swarm.candidates(other, 0), []);
});

t.test("requests for what cannot be are refused, one by one", async (t) => {
	const { rogue } = await scene(t);
	const far = 2 ** 52;
	const impossible = [
		{ ...ask, shard: far, first: 0 },
		{ ...ask, shard: 0, first: far },
		{ ...ask, shard: 0, first: 7, count: 2 },
		{ ...ask, shard: 0, first: 0, count: 0 },
		{ ...ask, shard: 0, first: 0, count: 5 },
		{ ...ask, shard: 0, first: 0, count: far },
		{ ...ask, shard: far, first: 0, wanted: "leaves" },
		{ ...ask, shard: 0, first: 0, title: "00".repeat(32) as TitleId },
		{ ...ask, shard: 0, first: 0, wanted: "holders" },
	] as const;
	for (const [n, request] of impossible.entries()) {
		rogue.requests.send({ ...request, id: n });
	}
	await until(() => rogue.heard.refusals.length === impossible.length);
	t.same(
		rogue.heard.refusals.map(({ reason }) => reason),
		[
			...["not-held", "not-held", "not-held"],
			...["bad-request", "bad-request", "bad-request"],
			...["not-held", "not-held", "not-held"],
		],
	);
	t.equal(rogue.heard.chunks.length, 0);
});

t.test("who asks and does not read fills no memory", async (t) => {
	const { region, box, rogue } = await scene(t);
	const before = process.memoryUsage();
	rogue.stream.pause();
	for (let n = 0; n < 2000; n++) {
		rogue.requests.send({ ...ask, id: n, shard: 0, first: 0, count: 4 });
	}
	// Each is worth an answer; together they are worth one.
	for (let n = 0; n < 200_000; n++) rogue.wants.send(id);
	const honest = await region.box("honest");
	await meet(honest, box);
	await fill(honest, title);
	t.ok(await has(honest, title), "others are served meanwhile");
	const { arrayBuffers } = process.memoryUsage();
	const grown = arrayBuffers - before.arrayBuffers;
	// What the rogue itself has written and not got rid of is in this process too.
	t.ok(grown < 60e6, `${grown} bytes more`);
});

t.test(
	"a chunk that is a crumb, misplaced or too much is an offence",
	async (t) => {
		const crumbs = [
			{ offset: 0, total: 4096, bytes: Buffer.alloc(1) },
			{ offset: 0, total: 4096, bytes: Buffer.alloc(0) },
			{ offset: 1, total: 4096, bytes: Buffer.alloc(4095) },
			{ offset: 0, total: 2 ** 52, bytes: Buffer.alloc(4096) },
			{ offset: 0, total: 4096, bytes: Buffer.alloc(4097) },
			{ offset: 0, total: 8192, bytes: Buffer.alloc(8192) },
		];
		for (const crumb of crumbs) {
			const { box, rogue } = await scene(t);
			rogue.onRequest = ({ id: asked }) => {
				rogue.chunks.send({ id: asked, ...crumb });
			};
			const { signal } = new AbortController();
			const run = { shard: 0, first: 0, count: 1 };
			const request = {
				title: id,
				run,
				bytes: 4096,
				blockSize: 4096,
				urgent: true,
			};
			const blocks = box.swarm.blocks(
				rogue.id,
				request,
				() => t.fail("a block came"),
				signal,
			);
			await t.rejects(blocks, { message: /malformed/ });
			await rogue.closed;
		}
	},
);

t.test("what a neighbour tells decides whom to ask, no more", async (t) => {
	const { box, rogue } = await scene(t);
	const told = (shard: number) => box.swarm.candidates(id, shard)[0]?.blocks;
	rogue.answers.send({
		title: id,
		shards: new Uint8Array([0b10]),
		partial: [{ shard: 2, blocks: new Uint8Array([0b101]) }],
	});
	await until(() => told(1) !== undefined);
	t.same([...new Bitfield(8, told(1)!.bytes)], [0, 1, 2, 3, 4, 5, 6, 7]);
	t.same([...told(2)!], [0, 2]);
	t.equal(told(0), undefined);
	// A shard beyond what the answer covered, as when the manifest came after it.
	const last = manifest.shards.length - 1 + 300;
	rogue.deltas.send({ title: id, shard: last, held: true, blocks: NOTHING });
	rogue.deltas.send({ title: id, shard: 1, held: false, blocks: NOTHING });
	await until(() => told(last) !== undefined && told(1) === undefined);
	t.same([...told(2)!], [0, 2]);
});

for (const reason of ["leaving", "not-held", "disk", "bad-request"] as const)
	t.test(`who says that it has all and ${reason} is gone past`, async (t) => {
		const region = await makeRegion(t, title);
		// Longer than who is leaving is let alone.
		const box = await region.box("box", { takeover: 2500 });
		const rogue = await sneakIn(region, box);
		t.teardown(() => rogue.end());
		rogue.onRequest = ({ id }) => rogue.refusals.send({ id, reason });
		const all = [...manifest.shards.keys()];
		const shards = new Bitfield(all.length);
		for (const shard of all) shards.add(shard);
		const ranks = [{ rank: 1, shards: encodeRanges(all) }];
		box.reconciler.place([{ id, ranks }]);
		await until(() => rogue.heard.wanted.includes(id));
		rogue.answers.send({ title: id, shards: shards.bytes, partial: [] });
		await until(() => box.progress()?.plan.phase === "applied");
		t.ok(await has(box, title), "the origin has given it");
		t.ok(rogue.heard.requests.length > 0);
	});
