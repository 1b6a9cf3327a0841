import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { monotonic, SECOND } from "../../src/base/time.ts";
import { shardFileBytes } from "../../src/content/geometry.ts";
import { addBoxes, filled, openDesk, publishFilm, stopOrigin } from "./desk.ts";

const SIZE = 4 * 1024 * 1024;
/** 4 Mbit/s. */
const BUDGET = 500_000;

t.setTimeout(240_000);

t.test("a region fills no faster than its origin budget", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	await desk.headend?.stop();
	const path = join(desk.operator.dir, "operator.toml");
	const text = await readFile(path, "utf8");
	await writeFile(
		path,
		text.replace('origin_budget = "0"', 'origin_budget = "4 Mbit/s"'),
	);
	await desk.startHeadend();
	await addBoxes(desk, 4);
	const began = monotonic();
	const film = await publishFilm(desk, SIZE);
	await filled(desk, film.shards);
	const took = monotonic() - began;
	const whole = Array.from({ length: film.shards }, (_, shard) =>
		shardFileBytes(film.manifest, shard),
	).reduce((sum, bytes) => sum + bytes, 0);
	// What is in the pipe when a box stops reading has left the origin: counted is what boxes took.
	const least = (whole / BUDGET) * SECOND * 0.9;
	t.ok(took >= least, `${took} ms for ${whole} bytes, at least ${least}`);
	t.ok((await stopOrigin(desk)) >= whole, "all of it came from there");
});
