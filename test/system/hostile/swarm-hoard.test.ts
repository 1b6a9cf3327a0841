import t from "tap";
import { SECOND } from "../../../src/base/time.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import { begin, come, each, LONG, letIn, shown } from "../../swarm/hoarder.ts";
import { openDht } from "../../swarm/stranger.ts";
import {
	counters,
	filled,
	openDesk,
	poll,
	publishFilm,
	stopOrigin,
} from "../desk.ts";
import { doorOf, groundOf, memoryOf } from "./swarm-ground.ts";

const SIZE = 2 * MiB;

t.setTimeout(240_000);

t.test("what a stolen box leaves unfinished fills no memory", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const box = await desk.addBox();
	await filled(desk, film.shards);
	await stopOrigin(desk);
	const ground = groundOf(desk);
	const door = await doorOf(ground, box);
	const dht = openDht(ground);
	t.teardown(() => dht.destroy({ force: true }));
	const key = generateKeyPair();
	const before = await memoryOf(box);
	let most = 0;
	const look = async () => {
		most = Math.max(most, (await memoryOf(box)) - before);
	};
	const watch = setInterval(() => void look(), SECOND / 4);
	t.teardown(() => clearInterval(watch));
	const attack = async (transport: "udx" | "tcp", count: number) =>
		each(count, async (n) => {
			const way = n % 2 === 0 ? shown : letIn(transport);
			const from = [transport, "127.0.0.1", dht] as const;
			const thief = await come(t, ground, door, key, way, ...from);
			// All of it but the end.
			if (thief) begin(thief, LONG, LONG - KiB);
		});
	await Promise.all([attack("tcp", 200), attack("udx", 40)]);
	const honest = await desk.addBox();
	await filled(desk, film.shards * 2);
	const { fromNeighbours } = await counters(desk, honest);
	t.ok(fromNeighbours >= SIZE, `${fromNeighbours} bytes came from the box`);
	await poll("it was looked at", async () => most > 0);
	t.ok(most < 100 * MiB, `${most} bytes of memory more`);
});
