import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { HeadendClient } from "../../src/headend/api/client.ts";
import { BROKERS } from "../control/brokers.ts";
import {
	addBoxes,
	addViewer,
	counters,
	filled,
	openDesk,
	play,
	poll,
	publishFilm,
	temporary,
} from "./desk.ts";
import { missing, startNginx } from "./nginx.ts";

const SIZE = 4 * 1024 * 1024;

t.setTimeout(240_000);

t.test("the broker goes away and comes back", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const boxes = await addBoxes(desk, 3);
	await filled(desk, film.shards * 2);
	const viewer = await addViewer(desk, film, { down: "1 MiB/s" });
	const everybody = [...boxes, viewer];

	let down: Promise<unknown> | undefined;
	const { bytes, mismatches } = await play(desk, viewer, film, (done) => {
		if (done > SIZE / 4) down ??= desk.broker?.stop();
	});
	t.ok(down, "it went away while the film played");
	t.same({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
	await poll("everybody has noticed", async () => {
		const all = await Promise.all(everybody.map((box) => desk.statusOf(box)));
		return all.every(({ control }) => !control.connected);
	});

	const next = await publishFilm(desk, SIZE, "next");
	const { dir, region } = desk.operator;
	const table = join(dir, "origin", next.id, "holders", region);
	await poll("the headend has placed it", async () => existsSync(table));
	for (const box of boxes) {
		const { titles } = await desk.statusOf(box);
		t.notOk(titles.some(({ id }) => id === next.id));
	}

	const headend = await HeadendClient.open(dir);
	const back = Date.now();
	await desk.startBroker();
	await poll("fill levels of all boxes came back", async () => {
		const told = await headend.boxes();
		return everybody.every(({ id }) =>
			told.some((box) => box.id === id && (box.toldAt ?? 0) >= back),
		);
	});
	await filled(desk, (film.shards + next.shards) * 2);
	t.pass("what was placed meanwhile arrived and is held");
	const again = await play(desk, viewer, next);
	t.equal(again.mismatches, 0);
});

t.test(
	"Mosquitto and nginx in place of what is built in",
	{ skip: missing() },
	async (t) => {
		const dir = await temporary(t);
		const mosquitto = await BROKERS["Mosquitto, MQTT 5"]?.();
		if (mosquitto === undefined) throw new Error("no Mosquitto to test with");
		await mosquitto.start();
		t.teardown(() => mosquitto.stop());
		const folder = join(dir, "desk", "operator", "origin");
		const nginx = await startNginx(t, join(dir, "nginx"), folder);
		const desk = await openDesk(t, {
			dir: join(dir, "desk"),
			copies: 2,
			broker: mosquitto.url,
			origin: false,
			originPort: nginx.plain,
		});
		const boxes = await addBoxes(desk, 4);
		const film = await publishFilm(desk, SIZE);
		await filled(desk, film.shards * 2);
		let fromOrigin = 0;
		for (const box of boxes)
			fromOrigin += (await counters(desk, box)).fromOrigin;
		t.ok(fromOrigin >= SIZE, "nginx gave every shard");
		t.ok(fromOrigin <= SIZE * 1.1, `${fromOrigin / SIZE} times`);
		const viewer = await addViewer(desk, film);
		const { bytes, mismatches } = await play(desk, viewer, film);
		t.same({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
		for (const { id } of boxes)
			t.equal(desk.observer.reports.get(id)?.phase, "applied");
	},
);
