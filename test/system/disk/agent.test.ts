// A whole agent whose data lies on a disk that fails: it stays up, says so to everybody, serves what it can, and fills again by itself.
import { readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { run } from "../../../scripts/run.ts";
import { freeOn } from "../../../src/agent/space.ts";
import { type Bytes, MiB } from "../../../src/base/units.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import type { DiskState } from "../../../src/store/disk.ts";
import {
	addBoxes,
	addViewer,
	counters,
	type Film,
	filled,
	larder,
	openDesk,
	play,
	poll,
	publishFilm,
} from "../desk.ts";
import { type Disk, ext4, placeOf, remount, skip, tmpfs } from "./mounts.ts";

const SIZE = 6 * MiB;

t.setTimeout(400_000);

interface Scene {
	readonly disk: Disk;
	readonly desk: Neighbourhood;
	/** Its data lies on the disk. */
	readonly box: DeskBox;
	readonly film: Film;
}

/** Three boxes, each with two of three shards of a film. */
async function open(t: Test, below?: string): Promise<Scene> {
	const disk = await ext4(t, 96 * MiB, below);
	const desk = await openDesk(t, { copies: 2, quota: "24 MiB" });
	await addBoxes(desk, 2);
	const data = join(disk.dir, "data");
	const box = await desk.addBox({ data, reserve: "0", down: "512 KiB/s" });
	const film = await publishFilm(desk, SIZE);
	await filled(desk, 2 * film.shards);
	return { disk, desk, box, film };
}

/** Status, doctor, `larder boxes` and `larder attention` say how the disk does. */
async function tells(t: Test, { desk, box }: Scene, state: DiskState) {
	await poll(`the box sees that its disk is ${state}`, async () => {
		const { store } = await desk.statusOf(box);
		return store.disk?.state === state;
	});
	const { problems } = await desk.statusOf(box);
	t.match(problems.join(), `the disk is ${state}`);
	const doctor = await larder("doctor", "-c", join(box.dir, "larder.toml"));
	t.match(doctor.said, `the disk is ${state}: nothing is written to it`);
	const headend = await HeadendClient.open(desk.operator.dir);
	await poll("the headend knows", async () => {
		const boxes = await headend.boxes();
		const { concerns = [] } = boxes.find(({ id }) => id === box.id) ?? {};
		return concerns.some(({ kind }) => kind === `disk-${state}`);
	});
	const dir = ["-d", desk.operator.dir];
	t.match(
		(await larder("boxes", ...dir)).said,
		new RegExp(`${box.name} .* ${state} `),
	);
	t.match(
		(await larder("attention", ...dir)).said,
		new RegExp(`${box.name} .* the disk is ${state} `),
	);
}

/** A film is played through it and from it, byte for byte; of what another held nobody but this box has all. Gives what it gave. */
async function serves(t: Test, { desk, box, film }: Scene): Promise<Bytes> {
	t.match(await play(desk, box, film), { mismatches: 0 }, "its own player");
	const [other] = desk.boxes;
	await other?.process?.stop();
	const viewer = await addViewer(desk, film);
	const before = (await counters(desk, box)).toNeighbours;
	t.match(await play(desk, viewer, film), { mismatches: 0 }, "a neighbour's");
	const after = (await counters(desk, box)).toNeighbours;
	await viewer.process?.stop();
	if (other !== undefined) await desk.startBox(other);
	return after - before;
}

/** It has all that is placed on it, of another film, too, and plays that. */
async function fills(t: Test, { desk, box }: Scene, other: Film) {
	await poll("it fills again", async () => {
		const { store, titles } = await desk.statusOf(box);
		const { placed, held } = store.shards;
		return titles.some(({ id }) => id === other.id) && held === placed;
	});
	await desk.listed(box, other.id, AbortSignal.timeout(60_000));
	t.match(await play(desk, box, other), { mismatches: 0 }, "the other film");
}

/** The same process as before, unharmed. */
function isUp(t: Test, { box }: Scene, pid: number | undefined) {
	t.ok(box.process?.running, "it stays up");
	t.equal(box.process?.pid, pid);
}

t.test("read-only", { skip }, async (t) => {
	const scene = await open(t);
	const { disk, desk, box } = scene;
	const pid = box.process?.pid;
	await writeFile(`/sys/fs/ext4/${disk.device}/trigger_fs_error`, "larder");
	const other = await publishFilm(desk, SIZE, "other");
	await tells(t, scene, "read-only");
	t.ok(await serves(t, scene), "it gives of it");
	isUp(t, scene, pid);

	await box.process?.stop();
	await desk.startBox(box);
	t.ok(await serves(t, scene), "it gives of it");

	await box.process?.stop();
	await run("umount", [disk.dir]);
	await run("e2fsck", ["-fy", disk.image]).catch(() => undefined);
	await run("mount", ["-o", "loop", disk.image, disk.dir]);
	await desk.startBox(box);
	await fills(t, scene, other);
});

t.test("full", { skip }, async (t) => {
	const scene = await open(t);
	const { disk, desk, box } = scene;
	const pid = box.process?.pid;
	const headend = await HeadendClient.open(desk.operator.dir);
	const room = async () =>
		(await headend.boxes()).find(({ id }) => id === box.id)?.capacity ?? 0;
	const before = await room();
	const other = await publishFilm(desk, SIZE, "other");
	await poll("it is filling", async () => {
		const { titles } = await desk.statusOf(box);
		return titles.some(({ id, held }) => id === other.id && held > 0);
	});
	const recording = join(disk.dir, "recording");
	// All at once: nothing is given back to what does not grow.
	const most = (await freeOn(disk.dir)) - MiB;
	await run("fallocate", ["-l", `${most}`, recording]);
	await run("sh", ["-c", `cat /dev/zero >> ${recording} || true`]);
	await poll(
		"the headend sees that it has less room",
		async () => (await room()) < before / 2,
	);
	await serves(t, scene);
	isUp(t, scene, pid);

	await run("sh", ["-c", `cat /dev/zero >> ${recording} || true`]);
	await box.process?.stop();
	await desk.startBox(box);
	await serves(t, scene);
	await rm(recording);
	await fills(t, scene, other);
});

t.test("failing", { skip }, async (t) => {
	const below = await tmpfs(t, 128 * MiB);
	const scene = await open(t, below);
	const { disk, desk, box, film } = scene;
	await box.process?.stop();
	await remount(disk);
	const names = await readdir(join(disk.dir, "data", "shards", film.id));
	const paths = names
		.filter((name) => /^\d+$/.test(name))
		.map((name) => `/data/shards/${film.id}/${name}`);
	const places = await Promise.all(paths.map((path) => placeOf(disk, path)));
	// What lies behind can neither be read nor written.
	await truncate(disk.image, places.toSorted((a, b) => b - a)[7]);
	const filler = join(below, "filler");
	await run("sh", ["-c", `cat /dev/zero > ${filler} || true`]);
	await desk.startBox(box);
	const pid = box.process?.pid;
	t.match(await play(desk, box, film), { mismatches: 0 });
	await tells(t, scene, "failing");
	const other = await publishFilm(desk, SIZE, "other");
	t.ok(await serves(t, scene), "it gives of it");
	isUp(t, scene, pid);

	await box.process?.stop();
	await rm(filler);
	await remount(disk);
	await desk.startBox(box);
	await fills(t, scene, other);
});
