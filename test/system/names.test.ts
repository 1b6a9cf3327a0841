import { cp, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import { playAll } from "../../src/desk/play.ts";
import { publish } from "../../src/headend/publish/publish.ts";
import { listTitles } from "../../src/headend/publish/titles.ts";
import { addBoxes, filled, openDesk, poll, writeFilm } from "./desk.ts";
import { CLIP } from "./media.ts";

t.setTimeout(240_000);

/** Names that nothing else has, of what is good, what is faulty, and what is no title. */
const SERIES = "Zauberberg Folge";
const FAULTY = "Kaputtnik Revue";
const BROKEN = "Bruchstueck.mp4";
const STRAY = "Streuner.mkv";
/** Given to a film apart from the name of its file. */
const SHOWN = "Der Augenschein";
const ASSET = "wunschnummer-77";
const FILE = "rohschnitt.mp4";

/** Whatever would tell from a log which film it speaks of. */
const NAMES = [
	...[SERIES, FAULTY, BROKEN, STRAY, SHOWN, ASSET, FILE],
	// Files of the clip.
	...["master.m3u8", "index.m3u8", "init_0.mp4", "360p", "05.m4s"],
];

/** Has the headend take titles up at once and say all that it can. */
async function talkative(desk: Neighbourhood): Promise<void> {
	await desk.headend?.stop();
	const path = join(desk.operator.dir, "operator.toml");
	const text = await readFile(path, "utf8");
	await writeFile(
		path,
		text.replace(/^quiet = .*/m, "quiet = 0.2").replace('"info"', '"trace"'),
	);
	await desk.startHeadend();
}

/** Puts a copy of the clip into the ingest folder, all at once. */
async function drop(desk: Neighbourhood, name: string): Promise<void> {
	const copy = join(desk.dir, name);
	await cp(CLIP, copy, { recursive: true });
	if (name === FAULTY) await rename(join(copy, "360p"), join(copy, "lost"));
	await rename(copy, join(desk.operator.dir, "ingest", name));
}

t.test("no log says which film", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	await talkative(desk);
	const operatorDir = desk.operator.dir;
	const inbox = join(operatorDir, "ingest");
	await drop(desk, SERIES);
	await drop(desk, FAULTY);
	await writeFile(join(inbox, BROKEN), "no film at all");
	await writeFile(join(inbox, STRAY), "nor this");
	const source = join(desk.dir, FILE);
	await writeFilm(source, 1_000_000, FILE);
	const { title: film } = await publish(
		{ operatorDir, source, kind: "title", name: SHOWN, assetId: ASSET },
		AbortSignal.timeout(60_000),
	);
	const series = await poll("the series is published", async () => {
		const { titles } = await listTitles(operatorDir);
		return titles.find(({ assetId }) => assetId === SERIES);
	});
	await poll("faults are reported beside what has them", async () => {
		const names = await readdir(inbox);
		return [FAULTY, BROKEN].every((name) =>
			names.includes(`${name}.faults.txt`),
		);
	});
	await addBoxes(desk, 1, { logLevel: "trace" });
	// Each of them is one shard.
	await filled(desk, 2);

	const viewer = await desk.addBox({ streamingShare: 1, logLevel: "trace" });
	const gateway = desk.gatewayOf(viewer);
	for (const [id, from] of [
		[film.id, source],
		[series.id, join(inbox, SERIES)],
	] as const) {
		await desk.listed(viewer, id, AbortSignal.timeout(60_000));
		t.match(await playAll(gateway, id, from), { mismatches: 0 });
	}
	const refused = [
		await fetch(`${gateway}/titles/${film.id}/${SERIES}`),
		await fetch(`${gateway}/titles/${series.id}/360p/99.m4s`),
		await fetch(`${gateway}/titles/${series.id}/360p/05.m4s`, {
			headers: { range: "bytes=999999999-" },
		}),
	];
	t.same(
		refused.map(({ status }) => status),
		[404, 404, 416],
	);

	const logs = join(desk.dir, "logs");
	await desk.close();
	const said: string[] = [];
	for (const file of await readdir(logs)) {
		const text = await readFile(join(logs, file), "utf8");
		t.match(text, '"ready"', `${file} is a log`);
		const lines = text.split("\n");
		for (const name of NAMES)
			for (const line of lines.filter((line) => line.includes(name)))
				said.push(`${file}: ${name} in ${line}`);
	}
	t.same(said, []);
	const headend = await readFile(join(logs, "headend.log"), "utf8");
	const failures = headend
		.split("\n")
		.filter((line) => line.includes("not published"))
		.map((line) => JSON.parse(line).entry as number);
	t.equal(new Set(failures).size, 2, "the log tells them apart");
	for (const name of [FAULTY, BROKEN]) {
		const report = await readFile(join(inbox, `${name}.faults.txt`), "utf8");
		const [, entry] = /entry (\d+) in the log/.exec(report) ?? [];
		t.ok(failures.includes(Number(entry)), `${name} says which it is`);
	}
});
