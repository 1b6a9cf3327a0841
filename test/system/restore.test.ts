import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { DeskBox, Neighbourhood } from "../../src/desk/neighbourhood.ts";
import {
	addBoxes,
	addViewer,
	counters,
	filled,
	heldOf,
	larder,
	openDesk,
	PATIENCE,
	play,
	poll,
	publishFilm,
} from "./desk.ts";

const SIZE = 4 * 1024 * 1024;

t.setTimeout(240_000);

t.test(
	"a region goes on alone: without DHT nodes, headend, broker and origin",
	async (t) => {
		const desk = await openDesk(t, { copies: 2 });
		const film = await publishFilm(desk, SIZE);
		await addBoxes(desk, 4);
		await filled(desk, film.shards * 2);
		// It keeps little of what it plays.
		const viewer = await addViewer(desk, film, { quota: "1 MiB" });
		t.equal((await play(desk, viewer, film)).mismatches, 0);
		const known = join(viewer.dir, "data", "known-nodes.json");
		await poll("it keeps the DHT nodes that it met", async () => {
			if (!existsSync(known)) return false;
			const nodes: string[] = JSON.parse(await readFile(known, "utf8"));
			return nodes.length > desk.dhtNodes.length;
		});

		await viewer.process?.stop("SIGKILL");
		const services = [desk.headend, desk.origin, desk.broker, ...desk.dhtNodes];
		await Promise.all(services.map((process) => process?.stop("SIGKILL")));
		await desk.startBox(viewer);
		await poll("it has found its region again", async () => {
			const { swarm, control } = await desk.statusOf(viewer);
			return swarm.neighbours.length > 0 && !control.connected;
		});
		const { bytes, mismatches } = await play(desk, viewer, film);
		t.same({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
		const { playedFromNeighbours, playedFromOrigin } = await counters(
			desk,
			viewer,
		);
		t.equal(playedFromOrigin, 0);
		t.ok(playedFromNeighbours > SIZE / 2, `${playedFromNeighbours} bytes`);
	},
);

t.test("a headend restored from yesterday's backup", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const kept = await publishFilm(desk, SIZE, "kept");
	const boxes = await addBoxes(desk, 4);
	await filled(desk, kept.shards * 2);
	const viewer = await addViewer(desk, kept);
	await catalogs(desk, [...boxes, viewer], [kept.id]);
	const file = join(desk.dir, "yesterday.backup");
	const { code, said } = await larder("backup", file, "-d", desk.operator.dir);
	t.equal(code, 0, said);

	const lost = await publishFilm(desk, SIZE, "lost");
	await filled(desk, (kept.shards + lost.shards) * 2);
	await catalogs(desk, [...boxes, viewer], [kept.id, lost.id]);
	const before = await Promise.all(
		boxes.map(async (box) => ({
			held: await heldOf(box, kept),
			counters: await counters(desk, box),
		})),
	);
	const epoch = Math.max(
		...[...desk.observer.reports.values()].map((report) => report.epoch),
	);

	await desk.headend?.stop();
	await rm(desk.operator.dir, { recursive: true });
	const restored = await larder("restore", file, desk.operator.dir);
	t.equal(restored.code, 0, restored.said);
	await desk.startHeadend();
	await desk.observer.until(
		() =>
			boxes.every(({ id }) => {
				const report = desk.observer.reports.get(id);
				return report?.phase === "applied" && report.epoch > epoch;
			}),
		AbortSignal.timeout(PATIENCE),
	);
	t.pass("the placement is applied in a higher epoch");
	await catalogs(desk, [...boxes, viewer], [kept.id]);
	t.pass("boxes follow the restored catalog");

	for (const [index, box] of boxes.entries()) {
		const { held, counters: then } = before[index]!;
		t.same(await heldOf(box, kept), held, `${held.size} shards are kept`);
		const now = await counters(desk, box);
		const fetched =
			now.fromNeighbours +
			now.fromOrigin -
			then.fromNeighbours -
			then.fromOrigin;
		t.ok(fetched < 64 * 1024, `${fetched} bytes were fetched`);
	}
	const { mismatches } = await play(desk, viewer, kept);
	t.equal(
		mismatches,
		0,
		"what was kept plays, its shards gone from the origin",
	);
	const next = await publishFilm(desk, SIZE, "next");
	await catalogs(desk, [...boxes, viewer], [kept.id, next.id]);
	await poll("the next title is placed and held", async () => {
		const { placed, held } = desk.levels();
		return placed === (kept.shards + next.shards) * 2 && held === placed;
	});
	t.equal((await play(desk, viewer, next)).mismatches, 0);
});

/** Resolves when the gateway of every box lists just these titles. */
async function catalogs(
	desk: Neighbourhood,
	boxes: readonly DeskBox[],
	wanted: readonly string[],
): Promise<void> {
	for (const box of boxes)
		await poll(`${box.name} lists ${wanted.length} titles`, async () => {
			const response = await fetch(`${desk.gatewayOf(box)}/titles`);
			const titles = (await response.json()) as { id: string }[];
			const listed = new Set(titles.map(({ id }) => id));
			return (
				listed.size === wanted.length && wanted.every((id) => listed.has(id))
			);
		});
}
