import t, { type Test } from "tap";
import type { DeskBox, Neighbourhood } from "../../src/desk/neighbourhood.ts";
import {
	addBoxes,
	addViewer,
	counters,
	type Film,
	filled,
	logOf,
	openDesk,
	play,
	poll,
	publishFilm,
	stopOrigin,
} from "./desk.ts";
import { BLOCK_LIES, type Liar, startLiar } from "./liar.ts";

const SIZE = 6 * 1024 * 1024;
/** A player has more than this in its buffer. */
const STALL = 3_000;

t.setTimeout(240_000);

t.test("a film plays on", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const boxes = await addBoxes(desk, 3);
	await filled(desk, film.shards * 2);

	for (const [index, [what, lie]] of Object.entries(BLOCK_LIES).entries())
		await t.test(`beside a neighbour that sends ${what}`, async (t) => {
			const viewer = await addViewer(desk, film);
			const liar = await startLiar(t, desk, `liar-${index}`, { film, lie });
			await neighbours(desk, viewer, [...boxes, { id: liar.box }], () =>
				liar.meet(viewer.id),
			);
			const seen = await play(desk, viewer, film);
			isWhole(t, seen, film);
			t.ok(liar.lies > 0, `it was asked ${liar.lies} times`);
			const counted = await counters(desk, viewer);
			const { playedFromOrigin, fromNeighbours } = counted;
			t.ok(playedFromOrigin <= SIZE / 10, `origin: ${playedFromOrigin}`);
			t.ok(fromNeighbours <= SIZE * 1.5, `next door: ${fromNeighbours}`);
			t.equal(counted.wrongBlocks > 0, what === "wrong blocks");
			if (what !== "nothing") await isCut(desk, viewer, liar);
			await viewer.process?.stop();
		});

	await t.test("when the box that serves it freezes", async (t) => {
		const viewer = await addViewer(desk, film);
		await neighbours(desk, viewer, boxes);
		await stopOrigin(desk);
		let frozen: Promise<DeskBox> | undefined;
		const seen = await play(desk, viewer, film, (done) => {
			if (done > SIZE / 8) frozen ??= freezeBusiest(desk, viewer, boxes);
		});
		(await frozen)?.process?.freeze(false);
		t.ok(frozen);
		isWhole(t, seen, film);
	});
});

function isWhole(
	t: Test,
	seen: Awaited<ReturnType<typeof play>>,
	{ manifest }: Film,
): void {
	const { bytes, mismatches, longestWaitMs } = seen;
	t.same({ bytes, mismatches }, { bytes: manifest.size, mismatches: 0 });
	t.ok(longestWaitMs < STALL, `its player waited ${longestWaitMs} ms at most`);
}

async function neighbours(
	desk: Neighbourhood,
	viewer: DeskBox,
	wanted: readonly Pick<DeskBox, "id">[],
	meet: () => void = () => undefined,
): Promise<void> {
	await poll("all are neighbours", async () => {
		meet();
		const { neighbours } = (await desk.statusOf(viewer)).swarm;
		return wanted.every(({ id }) => neighbours.some(({ box }) => box === id));
	});
}

/** The liar is no neighbour any more, and the log says why. */
async function isCut(
	desk: Neighbourhood,
	viewer: DeskBox,
	liar: Liar,
): Promise<void> {
	await poll("the liar is cut off", async () => {
		const { neighbours } = (await desk.statusOf(viewer)).swarm;
		const log = viewer.process ? await logOf(viewer.process) : [];
		return (
			neighbours.every(({ box }) => box !== liar.box) &&
			log.some(
				({ msg, slug }) =>
					msg === "neighbour cut off" &&
					/wrong-block|malformed/.test(`${slug}`),
			)
		);
	});
}

async function freezeBusiest(
	desk: Neighbourhood,
	viewer: DeskBox,
	boxes: readonly DeskBox[],
): Promise<DeskBox> {
	const { neighbours } = (await desk.statusOf(viewer)).swarm;
	const [busiest] = neighbours.toSorted((a, b) => b.bytesFrom - a.bytesFrom);
	const box = boxes.find(({ id }) => id === busiest?.box);
	if (box?.process === undefined) throw new Error("nobody serves");
	box.process.freeze(true);
	return box;
}
