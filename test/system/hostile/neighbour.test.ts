// Neighbours with certificates of the operator's that lie about whatever they are asked for: nothing but what was published is
// stored, played or passed on, and each liar is known by name.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { type BoxId, short } from "../../../src/wire/ids.ts";
import {
	addViewer,
	type Film,
	filled,
	logOf,
	openDesk,
	play,
	poll,
	publishFilm,
	stopOrigin,
} from "../desk.ts";
import { BLOCK_LIES, LIES, type Liar, startLiar } from "../liar.ts";
import { namesIn, strangeIn, watch } from "./strange.ts";

/** Two shards, the second short. */
const SIZE = 400_000;

/** For what each is cut off. Who has a wrong table may only be behind with the keys: it is passed over. */
const SLUGS = {
	"wrong blocks": "wrong-block",
	"half of what was asked": "malformed",
	"another title's blocks": "wrong-block",
	"wrong leaves": "wrong-leaves",
	"half of the leaves": "malformed",
	"another title's leaves": "wrong-leaves",
	"another title's shards": "wrong-leaves",
	"a manifest of its own": "wrong-manifest",
	"another title's manifest": "wrong-manifest",
	"another title's everything": "wrong-manifest",
	"no holder table": undefined,
	"another title's holder table": undefined,
	"a holder table of its own": undefined,
} as const satisfies Record<
	Exclude<keyof typeof LIES | keyof typeof BLOCK_LIES, "nothing">,
	string | undefined
>;

t.setTimeout(300_000);

t.test("a box among liars", async (t) => {
	const desk = await openDesk(t, { copies: 1, origin: false });
	const victim = await desk.addBox();
	const decoy = await publishFilm(desk, SIZE, "decoy");
	const films = new Map<string, Film>();
	for (const what of Object.keys(SLUGS))
		films.set(what, await publishFilm(desk, SIZE, `film ${films.size}`));
	const shards = [decoy, ...films.values()].reduce(
		(sum, film) => sum + film.shards,
		0,
	);
	const { dir, region } = desk.operator;
	for (const { id } of [decoy, ...films.values()]) {
		const table = join(dir, "origin", id, "holders", region);
		await poll("all are placed", async () => existsSync(table));
	}
	const liars = new Map<string, Liar>();
	const lies = { ...BLOCK_LIES, ...LIES };
	for (const [what, film] of films) {
		const lie = lies[what as keyof typeof SLUGS];
		const serial = `liar-${liars.size}`;
		const told = { film, other: decoy, lie };
		liars.set(what, await startLiar(t, desk, serial, told));
	}
	const slugs = async (box: BoxId) => {
		const log = victim.process ? await logOf(victim.process) : [];
		return log.flatMap((line) =>
			line["msg"] === "neighbour cut off" && line["box"] === short(box)
				? [line["slug"]]
				: [],
		);
	};

	await t.test("stores and plays nothing of a lie, and says so", async (t) => {
		const watching = [...films].map(async ([what, film]) => {
			const bytes = await watch(desk, victim, film);
			const source = await readFile(film.source);
			t.ok(
				source.subarray(0, bytes.length).equals(bytes),
				`${what}: played ${bytes.length} bytes`,
			);
		});
		for (const [what, liar] of liars)
			await poll(`${what} is told`, async () => {
				liar.meet(victim.id);
				return liar.lies > 0;
			});
		for (const [what, { box }] of liars) {
			const slug = SLUGS[what as keyof typeof SLUGS];
			if (slug !== undefined)
				await poll(`${what} is known`, async () => (await slugs(box))[0]);
			t.same(new Set(await slugs(box)), new Set(slug && [slug]), what);
		}
		await Promise.all(watching);
		for (const [what, film] of films)
			t.same(await strangeIn(desk, victim, film), [], `${what}: on its disk`);
		const published = [decoy, ...films.values()].map(({ id }) => id);
		const data = join(victim.dir, "data");
		for (const name of await namesIn(join(data, "shards")))
			t.ok(published.includes(name as Film["id"]), `${name} was published`);
		const tables = await namesIn(join(data, "holders"));
		for (const [what, film] of films)
			if (what.includes("holder table"))
				t.notOk(tables.includes(film.id), what);
	});

	await t.test("has and gives what was published, soon", async (t) => {
		await desk.startOrigin();
		await filled(desk, shards);
		for (const [what, film] of films)
			t.match(await play(desk, victim, film), { mismatches: 0 }, what);
		const third = await addViewer(desk, decoy);
		await stopOrigin(desk);
		for (const [what, film] of films) {
			const { bytes, mismatches } = await play(desk, third, film);
			t.same(
				{ bytes, mismatches },
				{ bytes: film.manifest.size, mismatches: 0 },
				`${what}: next door`,
			);
			t.same(await strangeIn(desk, third, film), [], `${what}: on that disk`);
		}
		const { neighbours } = (await desk.statusOf(third)).swarm;
		const from =
			neighbours.find(({ box }) => box === victim.id)?.bytesFrom ?? 0;
		// What a liar is asked for before it lies it may give.
		t.ok(from >= (films.size * SIZE) / 2, `${from} bytes came from the box`);
	});
	// One after the other they take longer than the test.
	await Promise.all([...liars.values()].map((liar) => liar.leave()));
});
