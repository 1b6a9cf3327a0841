import { join } from "node:path";
import t from "tap";
import { playAll } from "../../../src/desk/play.ts";
import { filled, openDesk, publishFilm, stopOrigin } from "../desk.ts";
import {
	addUnit,
	bundle,
	Line,
	playerBase,
	release,
	settled,
} from "./network.ts";

t.setTimeout(400_000);

t.test("boxes of two versions give each other what they hold", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	const older = await addUnit(t, desk, "older");
	const newer = await addUnit(t, desk, "newer");
	const line = await Line.open(t, desk, newer.id);
	const next = await release(
		desk,
		await bundle(join(desk.dir, "next"), "0.2.0"),
	);
	t.match(await line.ask(newer.id, next.order), { ok: true });
	await settled(line, "0.2.0");

	// More than the release, so that it does not all go where that is not.
	const film = await publishFilm(desk, 24 * 1024 * 1024);
	await filled(desk, film.shards + 1);
	await stopOrigin(desk);
	for (const { dir } of [older, newer]) {
		const base = await playerBase(dir);
		const { bytes, mismatches } = await playAll(base, film.id, film.source);
		t.same({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
	}
	const versions = [];
	for (const { dir, id } of [older, newer]) {
		const { version, counters } = await desk.statusOf({
			...{ id, name: "", dir, process: undefined },
		});
		versions.push(version);
		t.ok(counters.fromNeighbours > 0, `${version} was given some`);
		t.ok(counters.toNeighbours > 0, `${version} gave some`);
	}
	t.same(versions, ["0.1.0", "0.2.0"]);
});
