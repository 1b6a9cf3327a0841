import { randomBytes } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import t, { type Test } from "tap";
import { NeighbourFailed } from "../../src/act/ports.ts";
import { Holders } from "../../src/agent/holders.ts";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, SECOND } from "../../src/base/time.ts";
import { KiB } from "../../src/base/units.ts";
import { seal, trustIn } from "../../src/wire/envelope.ts";
import { type BoxId, networkOf, type Region } from "../../src/wire/ids.ts";
import type { HolderTable } from "../../src/wire/placement.ts";
import { Happenings, heard, newBox, newTitle } from "../control/operator.ts";
import { hold, makeOperator, makeTitle, type TestBox } from "../fixture.ts";
import { makeRegion, meet } from "../swarm/region.ts";

const operator = makeOperator();
const { region } = operator;
const placement = operator.signer("placement");
const trust = trustIn(operator.root.publicKey, Date.now);
const title = newTitle();
const [a, b, c, d] = [newBox(), newBox(), newBox(), newBox()];

/** Shard 0 is with the first three boxes, shard 1 with the last. */
function table(changes: Partial<HolderTable> = {}, signer = placement): Buffer {
	return seal(signer, {
		network: trust.network,
		region,
		title,
		epoch: 1,
		version: 1,
		boxes: [a, b, c, d],
		shards: [[1, 0, 2], [3]],
		...changes,
	} satisfies HolderTable);
}

type Answer = Buffer | Promise<Buffer>;
type Sources = { readonly origin?: Answer; readonly neighbour?: Answer };

/** A book over an origin and neighbours that have these tables, or answer as if they had none. */
function open(folder: string, sources: Sources = {}) {
	const dialled = new Happenings<readonly BoxId[]>();
	const lines = new Happenings<string>();
	const asked = { origin: 0, neighbour: 0 };
	const { origin, neighbour } = sources;
	const book = new Holders({
		...{ folder, region, trust },
		origin: {
			async holders() {
				asked.origin++;
				if (origin !== undefined) return origin;
				throw new LarderError("ORIGIN_FAILED", "it is off");
			},
		},
		neighbours: () => ({
			async holders() {
				asked.neighbour++;
				if (neighbour !== undefined) return neighbour;
				throw new NeighbourFailed("not-held");
			},
			dial: dialled.add,
		}),
		log: heard(lines),
	});
	/** Dials a shard and waits for the boxes that it should be with. */
	const dials = async (t: Test, shard: number, boxes: readonly BoxId[]) => {
		const from = dialled.all.length;
		book.dial(title, shard);
		t.same(await dialled.until(() => true, from), boxes);
	};
	return { book, dialled, lines, asked, dials };
}

/** Resolves once this is the table that the box passes on. */
async function kept(book: Holders, bytes: Buffer): Promise<void> {
	while (!(await book.bytes(title))?.equals(bytes)) await setImmediate();
}

const good = table();
const elsewhere = {
	version: 9,
	boxes: [newBox()],
	shards: [[0], [0]],
} satisfies Partial<HolderTable>;
const FALSE: Record<string, Buffer> = {
	"signed by another operator": table(
		elsewhere,
		makeOperator().signer("placement"),
	),
	"signed for another purpose": table(elsewhere, operator.signer("catalog")),
	"of another title": table({ ...elsewhere, title: newTitle() }),
	"of another region": table({ ...elsewhere, region: "south-2" as Region }),
	"of another network": table({
		...elsewhere,
		network: networkOf(makeOperator().root.publicKey),
	}),
	"that is of the future": table({
		...elsewhere,
		version: Math.floor((Date.now() + 2 * DAY) / SECOND),
	}),
	"with a word changed": Buffer.from(
		table(elsewhere).toString().replace('"payload":"ey', '"payload":"fy'),
	),
	"that is none": Buffer.from("<html>"),
};

for (const [what, bad] of Object.entries(FALSE)) {
	t.test(`a table ${what} is not believed`, async (t) => {
		const folder = t.testdir({ [title]: bad });
		for (const [name, sources] of Object.entries({
			"from the origin": { origin: bad, neighbour: good },
			"from a neighbour": { origin: good, neighbour: bad },
		})) {
			const { book, dialled, dials } = open(folder, sources);
			await dials(t, 0, [b, a, c]);
			await kept(book, good);
			t.equal(dialled.all.length, 1, name);
			await writeFile(join(folder, title), bad);
		}
	});
}

const AGES: Record<string, [disk: string, origin: string, neighbour: string]> =
	{
		"1/3": ["1/1", "1/2", "1/3"],
		"1/4": ["1/1", "1/4", "1/3"],
		"1/5": ["1/5", "1/4", "1/3"],
		"2/4": ["1/4", "1/3", "2/4"],
		"1/9": ["3/0", "2/8", "1/9"],
	};

for (const [newest, ages] of Object.entries(AGES)) {
	t.test(`of ${ages.join(", ")} (epoch/version) the newest wins`, async (t) => {
		const made = ages.map((age) => {
			const [epoch = 0, version = 0] = age.split("/").map(Number);
			const holder = newBox();
			const bytes = table({ epoch, version, boxes: [holder], shards: [[0]] });
			return { holder, bytes };
		});
		const [disk, origin, neighbour] = made.map(({ bytes }) => bytes);
		const wins = made[ages.indexOf(newest)]!;
		const folder = t.testdir({ [title]: disk! });
		const sources = { origin: origin!, neighbour: neighbour! };
		const { book, dialled, dials } = open(folder, sources);
		// The disk answers first.
		await dials(t, 0, [made[0]!.holder]);
		if (wins !== made[0]) await dialled.until(([box]) => box === wins.holder);
		await kept(book, wins.bytes);
		t.same(book.before(title, 0, 1), [wins.holder]);
	});
}

t.test("who does not answer holds up no table of another", async (t) => {
	for (const silent of ["origin", "neighbour"] as const) {
		const answer = Promise.withResolvers<Buffer>();
		const newer = table({ version: 2 });
		const { book, dials } = open(join(t.testdir(), silent), {
			origin: good,
			neighbour: good,
			[silent]: answer.promise,
		});
		await dials(t, 0, [b, a, c]);
		answer.resolve(newer);
		// Of a newer one it hears all the same.
		await dials(t, 0, [b, a, c]);
		await kept(book, newer);
	}
});

t.test(
	"asked once for all who wait, and kept for when nobody answers",
	async (t) => {
		const folder = join(t.testdir(), "holders");
		const first = open(folder, { origin: good });
		t.equal(first.book.before(title, 0, 3), undefined, "not known");
		first.book.dial(title, 0);
		first.book.dial(title, 1);
		await first.dialled.until(() => first.dialled.all.length === 2);
		t.same(first.dialled.all, [[b, a, c], [d]]);
		await first.dials(t, 1, [d]);
		await kept(first.book, good);
		t.same(first.asked, { origin: 1, neighbour: 1 });
		t.equal((await stat(folder)).mode & 0o777, 0o700);
		t.equal((await stat(join(folder, title))).mode & 0o777, 0o600);

		const later = open(folder);
		await later.dials(t, 1, [d]);
		t.same(later.book.before(title, 0, 0), []);
		t.same(later.book.before(title, 0, 2), [b, a]);
		t.same(later.book.before(title, 0, 9), [b, a, c]);
		t.same(later.book.before(title, 7, 9), []);
		t.same(await later.book.bytes(title), good);

		// The power went while a newer one was written.
		await writeFile(join(folder, `${title}.part`), good);
		await later.book.forget(title);
		t.equal(later.book.before(title, 0, 9), undefined);
		t.equal(await later.book.bytes(title), undefined);
		t.same(await readdir(folder), []);
	},
);

t.test(
	"a disk that takes nothing: the table is used all the same",
	async (t) => {
		const folder = join(t.testdir({ file: "" }), "file");
		const { dialled, lines, asked, dials } = open(folder, { neighbour: good });
		await dials(t, 0, [b, a, c]);
		await dials(t, 1, [d]);
		t.equal(dialled.all.length, 2);
		t.same(asked, { origin: 1, neighbour: 1 }, "and looked for once");
		await lines.until((line) => line.includes("not kept"));
		t.match(lines.all.join(), /not read.*not kept/s);
	},
);

t.test(
	"a box that the topic does not bring is found by the table alone, without the origin",
	async (t) => {
		const film = makeTitle(200 * KiB, 4 * KiB, 8);
		const region = await makeRegion(t);
		region.origin.close();
		// Of the same operator, but on a topic of its own.
		const networkSecret = randomBytes(32);
		const holder = await region.box("holder", {
			operator: { ...region.operator, networkSecret },
		});
		await hold(holder, film);
		const { network } = trustIn(region.operator.root.publicKey, Date.now);
		const signed = table(
			{
				network,
				title: film.id,
				boxes: [holder.id],
				shards: film.manifest.shards.map(() => [0]),
			},
			region.operator.signer("placement"),
		);
		// Next door they know of the film and hold nothing of it.
		const next = await region.box("next", {
			shelf: () => ({ holders: async () => signed }),
		});
		await next.store.putManifest(film.id, film.manifestBytes);
		const folder = t.testdir();
		const box: TestBox = await region.box("box", {
			titles: [film],
			maxPeers: 1,
			holders: new Holders({
				...{ folder, region: region.operator.region },
				trust: trustIn(region.operator.root.publicKey, Date.now),
				origin: region.origin.origin,
				neighbours: () => box.swarm,
				log: silent,
			}),
		});
		await meet(box, next);
		t.same([...box.swarm.neighbours.keys()], [next.id]);
		const { signal } = new AbortController();
		const playing = await box.library.open(film.id, signal);
		const parts: Buffer[] = [];
		for await (const part of playing.read(0, film.manifest.size, signal)) {
			parts.push(part);
		}
		t.ok(Buffer.concat(parts).equals(film.plaintext));
		t.ok(box.swarm.neighbours.has(holder.id));
		t.equal(region.origin.sent(), 0);
		t.same(await readFile(join(folder, film.id)), signed);
	},
);
