// Shards that come on a stick, and those that it should better not have brought.
import {
	cp,
	mkdir,
	open,
	readdir,
	readFile,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { playAll } from "../../src/desk/play.ts";
import {
	addBoxes,
	BLOCK,
	larder,
	openDesk,
	poll,
	publishFilm,
	stopOrigin,
} from "./desk.ts";

const SIZE = 2 * 1024 * 1024;
/** It fetches nothing by itself. */
const NEVER = '[{ trunk = "none", neighbours = "none" }]';

t.setTimeout(240_000);

t.test("a stick", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const [giver] = await addBoxes(desk, 1);
	const [taker] = await addBoxes(desk, 1, { windows: NEVER });
	if (giver === undefined || taker === undefined) throw new Error();
	const held = async (box: typeof giver) => {
		const { titles } = await desk.statusOf(box);
		return titles.reduce((sum, title) => sum + title.held, 0);
	};
	await poll(
		"the giver holds all",
		async () => (await held(giver)) === film.shards,
	);
	await poll("the other knows what it is to hold", async () => {
		const [title] = (await desk.statusOf(taker)).titles;
		return title?.placed === film.shards;
	});

	const stick = join(desk.dir, "stick");
	const run = async (title: string, to = stick) => {
		const config = join(giver.dir, "larder.toml");
		return await larder("export", title, to, "-c", config, "--json");
	};
	const { said } = await run(film.id.slice(0, 12));
	t.match(JSON.parse(said), { title: film.id, shards: film.shards });
	const again = JSON.parse((await run(film.id)).said);
	t.match(again, { shards: 0, present: film.shards });
	t.match(await run("0".repeat(64)), { code: 1, said: /TITLE_UNKNOWN/ });
	t.match(await run(film.id, "/dev/null"), { code: 1, said: /STORE_UNUSABLE/ });
	const folder = join(stick, film.id);
	for (const name of await readdir(folder))
		t.ok(
			(await readFile(join(folder, name))).equals(
				await readFile(join(desk.operator.dir, "origin", film.id, name)),
			),
			`${name} is what the origin has`,
		);

	// One byte of one is another, one is cut short, one is no shard, and one is of a title that nobody knows.
	const file = await open(join(folder, "1"), "r+");
	const byte = Buffer.alloc(1);
	await file.read(byte, 0, 1, 5000);
	await file.write(Buffer.from([255 - (byte[0] ?? 0)]), 0, 1, 5000);
	await file.close();
	const whole = await readFile(join(folder, "2"));
	await writeFile(join(folder, "2"), whole.subarray(0, 9000));
	await writeFile(join(folder, `${film.shards + 7}`), "no shard");
	const inbox = join(taker.dir, "data", "inbox");
	const strange = join(inbox, "ab".repeat(32));
	await mkdir(strange);
	await writeFile(join(strange, "0"), whole);
	await cp(folder, join(inbox, film.id), { recursive: true });
	await poll(
		"all that is good is taken in",
		async () => (await held(taker)) === film.shards - 2,
	);
	await poll("and counted", async () => {
		const { taken, wrong, waiting } = (await desk.statusOf(taker)).inbox ?? {};
		return taken === film.shards - 2 && wrong === 2 && waiting === 2;
	});
	t.same((await readdir(join(inbox, film.id))).toSorted(), [
		"1.wrong",
		`${film.shards + 7}.wrong`,
		"2",
		"manifest",
	]);
	const { problems, counters } = await desk.statusOf(taker);
	t.ok(problems.some((one) => one.includes("2 files in the inbox")));
	t.ok(counters.fromOrigin < BLOCK, "the network brought tables, and no shard");

	// The rest comes once more.
	for (const name of ["1", "2"])
		await cp(
			join(desk.operator.dir, "origin", film.id, name),
			join(inbox, film.id, name),
		);
	await poll("it holds all", async () => (await held(taker)) === film.shards);
	await giver.process?.stop();
	await stopOrigin(desk);
	const seen = await playAll(desk.gatewayOf(taker), film.id, film.source);
	t.match(seen, { bytes: film.manifest.size, mismatches: 0 });
});
