// A receiver that is put to sleep while it gives, as its neighbours see it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import type { DeskBox } from "../../src/desk/neighbourhood.ts";
import { playAll } from "../../src/desk/play.ts";
import { HeadendClient } from "../../src/headend/api/client.ts";
import { callIpc } from "../../src/ipc/client.ts";
import { short } from "../../src/wire/ids.ts";
import {
	addBoxes,
	addViewer,
	counters,
	filled,
	logOf,
	openDesk,
	poll,
	publishFilm,
	stopOrigin,
} from "./desk.ts";

const SIZE = 3 * 1024 * 1024;

t.setTimeout(240_000);

t.test("a box that is put to sleep hands over its viewers", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	// So slow that the film is under way when one goes to sleep.
	const [sleeper, other] = await addBoxes(desk, 2, { up: "1 MiB/s" });
	if (sleeper === undefined || other === undefined) throw new Error();
	await filled(desk, film.shards * 2);
	const headend = await HeadendClient.open(desk.operator.dir);
	const viewer = await addViewer(desk, film, { logLevel: "debug" });
	await stopOrigin(desk);
	await poll("both are there", async () => {
		const { neighbours } = (await desk.statusOf(viewer)).swarm;
		return neighbours.length >= 2;
	});
	const turn = (state: "active" | "standby") =>
		callIpc(join(sleeper.dir, "agent.sock"), `power-${state}`, 5 * SECOND);
	const isSaid = (state: string) =>
		poll(`the headend hears of ${state}`, async () => {
			const boxes = await headend.boxes();
			return boxes.some(
				({ id, power }) => id === sleeper.id && power === state,
			);
		});
	const given = async (box: DeskBox) =>
		(await counters(desk, box)).toNeighbours;
	const before = await given(sleeper);

	const url = `${desk.gatewayOf(viewer)}/titles/${film.id}/film.mp4`;
	const { body } = await fetch(url);
	if (body === null) throw new Error();
	const parts: Uint8Array[] = [];
	let atSleep: number | undefined;
	for await (const part of body) {
		parts.push(part);
		if (atSleep !== undefined || (await given(sleeper)) === before) continue;
		await turn("standby");
		atSleep = await given(sleeper);
	}
	t.ok(Buffer.concat(parts).equals(await readFile(film.source)));
	t.ok((atSleep ?? 0) > before, "it was giving");
	t.equal(await given(sleeper), atSleep, "nothing after it was told");
	t.ok((await given(other)) < SIZE * 1.5, "what it gave need not come again");
	const log = viewer.process === undefined ? [] : await logOf(viewer.process);
	const gaveUp = log.filter(
		({ msg, from }) => msg === "a source gave up" && from === short(sleeper.id),
	);
	const why = new Set(
		gaveUp.map(({ err }) => (err as { message: string }).message),
	);
	t.same([...why], ["the neighbour failed: leaving"], "it is not waited for");
	t.equal((await desk.statusOf(sleeper)).power, "standby");
	await isSaid("standby");

	await turn("active");
	await isSaid("active");
	await other.process?.stop();
	const late = await addViewer(desk, film);
	const seen = await playAll(desk.gatewayOf(late), film.id, film.source);
	t.match(seen, { bytes: film.manifest.size, mismatches: 0 });
	t.ok((await given(sleeper)) > (atSleep ?? 0), "it gives again");
});
