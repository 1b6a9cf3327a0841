import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { shardFileBytes } from "../../src/content/geometry.ts";
import type { DeskBox, Neighbourhood } from "../../src/desk/neighbourhood.ts";
import { unseal } from "../../src/wire/envelope.ts";
import { holderTable } from "../../src/wire/placement.ts";
import {
	addBoxes,
	type Film,
	heldOf,
	logOf,
	openDesk,
	poll,
	publishFilm,
	stopOrigin,
} from "./desk.ts";

const BOXES = 4;
const SIZE = 6 * 1024 * 1024;

t.setTimeout(240_000);

t.test(
	"a box that leads several shards dies in mid-fill: one other takes over each, and the trunk carries the film about once",
	async (t) => {
		const desk = await openDesk(t, { copies: BOXES, takeover: "2 s" });
		// Slow enough for a shard to be in the middle when its leader goes.
		const boxes = await addBoxes(desk, BOXES, { originRate: "192 KiB/s" });
		const film = await publishFilm(desk, SIZE);
		const leaders = await poll("the plan", () => leadersOf(desk, film));
		const victim = boxes[0]!;
		const led = leaders.flatMap((box, shard) =>
			box === victim.id ? shard : [],
		);
		t.ok(led.length >= 3, `it leads ${led.length} shards`);
		await poll("one of them is there", async () => {
			const held = await heldOf(victim, film);
			return led.some((shard) => held.has(shard));
		});
		await victim.process?.stop("SIGKILL");
		const rest = boxes.slice(1);
		await poll("the others have all", async () => {
			const held = await Promise.all(rest.map((box) => heldOf(box, film)));
			return held.every(({ size }) => size === film.shards);
		});

		const taken = (await Promise.all(rest.map(takeovers))).flat();
		t.ok(taken.length > 0, `${taken.length} shards were taken over`);
		t.same(
			[...new Set(taken)].toSorted((a, b) => a - b),
			taken.toSorted((a, b) => a - b),
			"each by one box",
		);
		t.ok(
			taken.every((shard) => led.includes(shard)),
			"and only those whose leader was gone",
		);
		const whole = Array.from({ length: film.shards }, (_, shard) =>
			shardFileBytes(film.manifest, shard),
		).reduce((sum, bytes) => sum + bytes, 0);
		const sent = await stopOrigin(desk);
		t.ok(sent <= 1.1 * whole, `the origin sent ${sent / whole} titles`);
	},
);

/** Who is to fetch each shard from the origin, once every box is to hold all of the film. */
async function leadersOf(desk: Neighbourhood, { id, shards }: Film) {
	const { dir, region, trust } = desk.operator;
	const path = join(dir, "origin", id, "holders", region);
	const bytes = await readFile(path).catch(() => undefined);
	if (bytes === undefined) return undefined;
	const read = unseal(bytes, "placement", holderTable, trust);
	if (!read.ok) throw new Error(read.detail);
	const table = read.value;
	const isWhole =
		table.shards.length === shards && table.boxes.length === BOXES;
	return isWhole && table.shards.map(([leader = -1]) => table.boxes[leader]);
}

/** Shards that a box fetched from the origin because nobody before it brought them. */
async function takeovers(box: DeskBox): Promise<number[]> {
	const log = box.process ? await logOf(box.process) : [];
	return log
		.filter(({ msg }) => `${msg}`.startsWith("nobody before this box"))
		.map(({ shard }) => Number(shard));
}
