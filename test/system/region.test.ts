import t from "tap";
import { shardFileBytes } from "../../src/content/geometry.ts";
import {
	addBoxes,
	counters,
	filled,
	openDesk,
	play,
	publishFilm,
	stopOrigin,
} from "./desk.ts";

const BOXES = 20;
const COPIES = 3;
const SIZE = 8 * 1024 * 1024;

t.setTimeout(240_000);

t.test(
	"twenty boxes with few neighbours fill from one copy of the title, and each plays all of it without the origin",
	async (t) => {
		const desk = await openDesk(t, {
			copies: COPIES,
			maxPeers: 4,
			// Twenty boxes share two cores here: one that waits for the processor is not one that is gone.
			takeover: "20 s",
		});
		const boxes = await addBoxes(desk, BOXES);
		const film = await publishFilm(desk, SIZE);
		await filled(desk, film.shards * COPIES);

		const once = Array.from({ length: film.shards }, (_, shard) =>
			shardFileBytes(film.manifest, shard),
		).reduce((sum, bytes) => sum + bytes, 0);
		let fetched = 0;
		for (const box of boxes) fetched += (await counters(desk, box)).fromOrigin;
		const sent = await stopOrigin(desk);
		t.ok(sent <= once * 1.1, `the origin sent ${sent / once} titles`);
		t.ok(fetched <= once * 1.1, `boxes took ${fetched / once} titles from it`);
		t.ok(fetched >= once, "every shard came from the origin at least once");

		// A few at a time: each box dials the holders that are not among its neighbours.
		for (let at = 0; at < boxes.length; at += 4) {
			const films = await Promise.all(
				boxes.slice(at, at + 4).map((box) => play(desk, box, film)),
			);
			for (const { bytes, mismatches } of films)
				t.same(
					{ bytes, mismatches },
					{ bytes: film.manifest.size, mismatches: 0 },
				);
		}
		let played = 0;
		for (const box of boxes) {
			const { playedFromOrigin, playedFromNeighbours } = await counters(
				desk,
				box,
			);
			t.equal(playedFromOrigin, 0);
			played += playedFromNeighbours;
		}
		t.ok(played > film.manifest.size, `${played} bytes came from next door`);
	},
);
