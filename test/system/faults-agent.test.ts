import { join } from "node:path";
import t, { type Test } from "tap";
import { monotonic } from "../../src/base/time.ts";
import type { Bytes } from "../../src/base/units.ts";
import type { DeskBox, Neighbourhood } from "../../src/desk/neighbourhood.ts";
import {
	addBoxes,
	BLOCK,
	counters,
	type Film,
	heldOf,
	lackOf,
	larder,
	openDesk,
	poll,
	publishFilm,
	SHARD_BLOCKS,
} from "./desk.ts";

const SIZE = 6 * 1024 * 1024;
/** Holder tables, and what else is small and fetched anew at a start. */
const SMALL: Bytes = 32 * 1024;

t.setTimeout(240_000);

/** Resolves when a box holds at least this many shards of a film and is still filling. */
async function halfway(
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
	least: number,
): Promise<void> {
	await poll(`${box.name} holds ${least} shards`, async () => {
		const { titles } = await desk.statusOf(box);
		const { placed = 0, held = 0 } =
			titles.find(({ id }) => id === film.id) ?? {};
		if (placed > 0 && held === placed)
			throw new Error("it was filled before it could be disturbed");
		return held >= least;
	});
}

/** Every file that was held is there still, and the same. */
function keeps(
	t: Test,
	after: ReadonlyMap<number, number>,
	before: ReadonlyMap<number, number>,
): void {
	const kept = [...before].filter(
		([shard, inode]) => after.get(shard) === inode,
	);
	t.same(kept, [...before], `${before.size} held shards are kept as they are`);
}

/** A player that has begun with a shard that the box has to fetch, and has most of it on its way. */
async function startPlayer(
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
): Promise<AbortController> {
	const held = await heldOf(box, film);
	let shard = 0;
	while (held.has(shard)) shard++;
	const path = film.manifest.files[0]?.path;
	const player = new AbortController();
	const { body } = await fetch(
		`${desk.gatewayOf(box)}/titles/${film.id}/${path}`,
		{
			headers: { range: `bytes=${shard * SHARD_BLOCKS * BLOCK}-` },
			signal: player.signal,
		},
	);
	const { value } = (await body?.getReader().read()) ?? {};
	if (!value?.length) throw new Error("no film plays");
	return player;
}

t.test("an agent killed in the middle of its fill goes on", async (t) => {
	const desk = await openDesk(t, { copies: 3 });
	const film = await publishFilm(desk, SIZE);
	await addBoxes(desk, 2);
	const victim = await desk.addBox({ down: "1 MiB/s" });
	for (const least of [3, 12]) {
		await halfway(desk, victim, film, least);
		await victim.process?.stop("SIGKILL");
		const held = await heldOf(victim, film);
		const lack = await lackOf(desk, victim, film);
		t.ok(lack.bytes > 0, `${lack.bytes} bytes are missing`);
		await desk.startBox(victim);
		if (least === 3) {
			keeps(t, await heldOf(victim, film), held);
			continue;
		}
		await poll("it is filled", async () => {
			const { placed, held } = (await desk.statusOf(victim)).store.shards;
			return placed === film.shards && held === placed;
		});
		t.equal((await lackOf(desk, victim, film)).bytes, 0);
		keeps(t, await heldOf(victim, film), held);
		const { fromNeighbours, fromOrigin } = await counters(desk, victim);
		const most = lack.bytes + lack.partial * BLOCK + SMALL;
		const fetched = fromNeighbours + fromOrigin;
		t.ok(fetched <= most, `${fetched} bytes came, at most ${most} were due`);
	}
});

t.test("an agent told to end does so in time", async (t) => {
	const desk = await openDesk(t, { copies: 3 });
	const film = await publishFilm(desk, SIZE);
	await addBoxes(desk, 2);
	const box = await desk.addBox({ down: "1 MiB/s" });
	await halfway(desk, box, film, 3);

	await t.test("a second agent on its folder says why it ends", async (t) => {
		const config = join(box.dir, "larder.toml");
		const { code, said } = await larder("agent", "-c", config);
		t.equal(code, 1);
		t.match(said, /another process works on .*BOX_BUSY.*Stop the other/s);
		t.ok(await desk.statusOf(box), "the first one does not mind");
	});

	await t.test("players that leave do it no harm", async (t) => {
		for (let times = 0; times < 5; times++)
			(await startPlayer(desk, box, film)).abort();
		t.ok(await desk.statusOf(box));
	});

	const player = await startPlayer(desk, box, film);
	const started = monotonic();
	const exit = await box.process?.stop();
	const took = monotonic() - started;
	player.abort();
	t.same(exit, { code: 0, signal: null });
	t.ok(took < 5000, `it took ${Math.round(took)} ms`);
	t.ok((await lackOf(desk, box, film)).bytes > 0, "it was filling");
	const held = await heldOf(box, film);
	t.ok(held.size >= 3);
	await desk.startBox(box);
	t.ok((await desk.statusOf(box)).store.shards.held >= held.size);
	keeps(t, await heldOf(box, film), held);
});
