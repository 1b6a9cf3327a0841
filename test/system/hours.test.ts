// When boxes fill: by their own hours, by the operator's, and not in standby.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import type { DeskBox } from "../../src/desk/neighbourhood.ts";
import { callIpc } from "../../src/ipc/client.ts";
import { addBoxes, openDesk, poll, publishFilm } from "./desk.ts";

const SIZE = 1024 * 1024;
const NEVER = '[{ trunk = "none", neighbours = "none" }]';

t.setTimeout(240_000);

t.test("hours", async (t) => {
	// Who waits for one that may not fill has to wait for twelve times as long.
	const desk = await openDesk(t, { copies: 3, takeover: "500 ms" });
	const film = await publishFilm(desk, SIZE);
	const [free] = await addBoxes(desk, 1);
	const [one, two] = await addBoxes(desk, 2, {
		zone: "Europe/Berlin",
		windows: NEVER,
	});
	if (free === undefined || one === undefined || two === undefined)
		throw new Error();
	const held = async (box: DeskBox) => {
		const { titles } = await desk.statusOf(box);
		return titles.reduce((sum, title) => sum + title.held, 0);
	};
	const holds = (box: DeskBox, shards: number) =>
		poll(`${box.name} holds ${shards} shards`, async () => {
			return (await held(box)) === shards;
		});
	/** It knows what it is to hold, and that it may not fetch it now. */
	const waits = (box: DeskBox, closed: "hours" | "standby", placed: number) =>
		poll(`${box.name} waits`, async () => {
			const { fill, titles } = await desk.statusOf(box);
			const wanted = titles.reduce((sum, title) => sum + title.placed, 0);
			return fill?.closed === closed && wanted === placed;
		});
	await holds(free, film.shards);
	for (const box of [one, two]) {
		await waits(box, "hours", film.shards);
		t.equal(await held(box), 0);
		t.match((await desk.statusOf(box)).fill, {
			hours: "box",
			trunk: null,
			neighbours: null,
		});
	}

	// The operator's hours come before the box's.
	await desk.headend?.stop();
	const path = join(desk.operator.dir, "operator.toml");
	const toml = await readFile(path, "utf8");
	const policy = '{ zone = "UTC", windows = [{ trunk = "800 Mbit/s" }] }';
	await writeFile(
		path,
		toml.replace("\nshare_transient", `\nfill = ${policy}\nshare_transient`),
	);
	await desk.startHeadend();
	await holds(one, film.shards);
	await holds(two, film.shards);
	const { fill } = await desk.statusOf(one);
	t.match(fill, { hours: "operator", trunk: 100_000_000, neighbours: 0 });
	t.notOk(fill?.closed);

	// None of its windows is for standby.
	const turn = (state: "active" | "standby") =>
		callIpc(join(two.dir, "agent.sock"), `power-${state}`, 5 * SECOND);
	await turn("standby");
	const another = await publishFilm(desk, SIZE, "another");
	const both = film.shards + another.shards;
	await holds(one, both);
	await waits(two, "standby", both);
	t.equal(await held(two), film.shards);
	await turn("active");
	await holds(two, both);
});
