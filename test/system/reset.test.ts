// A factory reset of a box that runs, as its owner orders it.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import { callIpc } from "../../src/ipc/client.ts";
import {
	addBoxes,
	filled,
	heldOf,
	larder,
	logOf,
	openDesk,
	poll,
	publishFilm,
} from "./desk.ts";

t.setTimeout(240_000);

t.test("a box that runs is reset, and filled again", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	const film = await publishFilm(desk, 1024 * 1024);
	const [box] = await addBoxes(desk, 1);
	if (box === undefined) throw new Error();
	await filled(desk, film.shards);
	const config = join(box.dir, "larder.toml");
	const identity = await readFile(join(box.dir, "identity.json"), "utf8");
	const before = await heldOf(box, film);
	t.equal(before.size, film.shards);

	const socket = join(box.dir, "agent.sock");
	await t.rejects(callIpc(socket, "factory-reset", 5 * SECOND), {
		code: "REQUEST_INVALID",
		message: /data folder/,
	});
	t.equal(
		(await heldOf(box, film)).size,
		film.shards,
		"the socket is not enough",
	);
	t.match(await larder("factory-reset", "-c", config), { code: 1 });

	// Its end is meant.
	const { process } = box;
	Object.assign(process ?? {}, { stopping: true });
	t.match(await larder("factory-reset", "-c", config, "--yes"), {
		code: 0,
		said: /next start/,
	});
	t.match(await process?.exited, { code: 75 });
	await desk.startBox(box);
	await poll("all is fetched again", async () => {
		return (await heldOf(box, film)).size === film.shards;
	});
	const lines = box.process === undefined ? [] : await logOf(box.process);
	const said = lines.find(({ msg }) => msg === "the box was reset");
	t.match(`${said?.["removed"]}`, /control,.*shards/);
	t.equal(await readFile(join(box.dir, "identity.json"), "utf8"), identity);
	t.notOk((await readdir(join(box.dir, "data"))).includes("reset"));

	await box.process?.stop();
	t.match(await larder("factory-reset", "-c", config, "--yes"), {
		code: 0,
		said: /Removed: .*shards/,
	});
	t.same(await readdir(join(box.dir, "data")), []);
});
