// Households that take no part any more, as the operator and their neighbours see it.
import { join } from "node:path";
import t from "tap";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import {
	addBoxes,
	addViewer,
	filled,
	heldOf,
	larder,
	openDesk,
	play,
	poll,
	publishFilm,
	stopOrigin,
} from "../desk.ts";

t.setTimeout(240_000);

t.test("a box hands on the last copies, and then takes no part", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	// The film comes last: who is there alone would be given all of it.
	const [leaver, ...others] = await addBoxes(desk, 3);
	if (leaver === undefined) throw new Error();
	const film = await publishFilm(desk, 3 * 1024 * 1024);
	await filled(desk, film.shards);
	const had = (await heldOf(leaver, film)).size;
	t.ok(had > 0 && had < film.shards, "it has the only copies of some");
	const headend = await HeadendClient.open(desk.operator.dir);
	const viewed = async () =>
		(await headend.boxes()).find(({ id }) => id === leaver.id);
	t.equal((await viewed())?.part, "in");

	const socket = join(leaver.dir, "agent.sock");
	const { code, said } = await larder("drain", "--socket", socket);
	t.equal(code, 0, said);
	t.match(said, /does not take part/);
	await poll(
		"the operator sees it",
		async () => (await viewed())?.part === "out",
	);
	t.equal((await desk.statusOf(leaver)).store.shards.placed, 0);
	const held = await Promise.all(others.map((box) => heldOf(box, film)));
	const all = new Set(held.flatMap((shards) => [...shards.keys()]));
	t.equal(all.size, film.shards, "others have all of it");

	await stopOrigin(desk);
	const viewer = await addViewer(desk, film);
	const given = (await desk.statusOf(leaver)).counters.toNeighbours;
	t.match(await play(desk, viewer, film), { mismatches: 0 });
	t.equal((await desk.statusOf(leaver)).counters.toNeighbours, given);

	await leaver.process?.stop();
	await desk.startBox(leaver);
	t.match((await desk.statusOf(leaver)).household, { part: "out" });
	t.equal((await larder("opt-in", "--socket", socket)).code, 0);
	await poll(
		"it is counted on again",
		async () => (await viewed())?.part === "in",
	);
});
