// Run in a network of its own by household.test.ts: two boxes behind uplinks with deep queues give a viewer a film.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { monotonic, SECOND, sleep } from "../../../src/base/time.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import { TARGET } from "../../../src/plan/uplink.ts";
import type { IpcMethod } from "../../../src/wire/ipc.ts";
import {
	addViewer,
	counters,
	filled,
	openDesk,
	play,
	poll,
	publishFilm,
	stopOrigin,
} from "../desk.ts";
import {
	addHome,
	CENTRE,
	type Home,
	openStreet,
	UplinkMeter,
} from "./street.ts";

/** 5 Mbit/s, and a queue that takes 1.7 s to empty. */
const RATE = "5mbit";
const CARRIES = 625_000;
const QUEUE = "1mb";
/** What may leave a home in three seconds that gives nothing: keepalives, reports, refusals and acknowledgements. */
const LITTLE = 16 * KiB;
/** Seconds after which a box that has just begun to give is told. */
const MOMENTS =
	process.env["LARDER_HOUSEHOLD"] === "full" ? [0.4, 0.8, 1.5, 3] : [0.4, 3];
/** A player of HLS has several times as much in its buffer. */
const STALL = 5 * SECOND;

t.setTimeout(400_000);
await openStreet();
const desk = await openDesk(t, { copies: 2, host: CENTRE });
const here = await addHome(t, 1);
const there = await addHome(t, 2);
const box = await settle(here);
await settle(there);
const film = await publishFilm(desk, 32 * MiB);
await filled(desk, film.shards * 2);
for (const home of [here, there]) await home.cap(RATE, QUEUE);
await stopOrigin(desk);
const meter = new UplinkMeter(t, here);

async function settle(home: Home): Promise<DeskBox> {
	const broker = Number(new URL(desk.brokerUrl).port);
	await home.offer(broker, join(desk.dir, `${home.address}.sock`));
	return await desk.addBox({ swarmHost: home.address }, home.within);
}

function tell(method: IpcMethod): Promise<unknown> {
	return callIpc(join(box.dir, "agent.sock"), method, 5 * SECOND);
}

async function household() {
	const { household } = await desk.statusOf(box);
	if (household === undefined) throw new Error("it tells nothing of it");
	return household;
}

/** A viewer in the centre, who has begun to play, and how that ends. */
async function watch() {
	const viewer = await addViewer(desk, film, { swarmHost: CENTRE });
	const playing = play(desk, viewer, film);
	await poll(
		"the uplink is used",
		async () => meter.rate(2 * SECOND) > CARRIES / 2,
	);
	return { viewer, playing };
}

/** It began to give again, little at first. */
async function returned(t: Test) {
	const first = await poll("it gives again", async () => {
		const { give } = await household();
		return give !== "none" && give;
	});
	t.ok(first < CARRIES / 2, `gradually: ${first} B/s first`);
	await poll(
		"the uplink is used again",
		async () => meter.rate(SECOND) > CARRIES / 2,
	);
}

t.test("told of live TV, it gives nothing within half a second", async (t) => {
	const { viewer, playing } = await watch();
	await poll("it has found out what its uplink carries", async () => {
		const { give, delay = SECOND } = await household();
		const isFound = give !== "none" && give < CARRIES && delay < TARGET;
		return isFound && meter.rate(2 * SECOND) > CARRIES / 2;
	});
	const told = monotonic();
	await tell("activity-live");
	const { toNeighbours } = await counters(desk, box);
	await sleep(4 * SECOND);
	const rest = meter.between(told, told + 0.5 * SECOND);
	const after = meter.between(told + 0.5 * SECOND, told + 3.5 * SECOND);
	t.comment(`${rest} B within 0.5 s, ${after} B in the 3 s after that`);
	t.ok(after <= LITTLE, `${after} B left the uplink later`);
	t.equal((await counters(desk, box)).toNeighbours, toNeighbours);
	await tell("activity-idle");
	await returned(t);
	const { bytes, mismatches, longestWaitMs } = await playing;
	t.comment(`the player waited ${longestWaitMs} ms at most`);
	t.match({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
	t.ok(longestWaitMs < STALL, `its player waited ${longestWaitMs} ms`);
	await viewer.process?.stop();
});

for (const [rate, carries] of [
	["2mbit", 250_000],
	["5mbit", CARRIES],
] as const)
	t.test(`and in the first seconds of giving, over ${rate}`, async (t) => {
		await here.cap(rate, QUEUE);
		for (const moment of MOMENTS) {
			await box.process?.stop();
			await desk.startBox(box);
			await poll("it has met its neighbour", async () => {
				const { swarm } = await desk.statusOf(box);
				return swarm.neighbours.length > 0;
			});
			const viewer = await addViewer(desk, film, { swarmHost: CENTRE });
			// It is cut off: what matters is what the box gives.
			const playing = play(desk, viewer, film).catch(() => undefined);
			await poll("it gives", async () => meter.rate(0.2 * SECOND) > LITTLE);
			await sleep(moment * SECOND);
			const told = monotonic();
			await tell("activity-live");
			await sleep(4 * SECOND);
			const rest = meter.between(told, told + 0.5 * SECOND);
			const after = meter.between(told + 0.5 * SECOND, told + 3.5 * SECOND);
			const part = Math.round((200 * rest) / carries);
			t.comment(
				`${moment} s: ${rest} B, ${part} % of what half a second carries`,
			);
			t.ok(after <= LITTLE, `${moment} s: ${after} B left the uplink later`);
			await tell("activity-idle");
			await viewer.process?.stop();
			await playing;
		}
		await here.cap(RATE, QUEUE);
	});

t.test("what the household uploads by itself goes first", async (t) => {
	const { viewer, playing } = await watch();
	let taken = 0;
	const sink = createServer((socket) => {
		socket.on("data", (bytes) => {
			taken += bytes.length;
		});
	});
	t.teardown(() => sink.close());
	sink.listen(0, CENTRE);
	await once(sink, "listening");
	const address = sink.address();
	if (address === null || typeof address === "string") throw new Error();
	const [command = "", ...within] = here.within;
	const program = [process.execPath, join(import.meta.dirname, "upload.ts")];
	const began = monotonic();
	const upload = spawn(
		command,
		[...within, ...program, CENTRE, `${address.port}`],
		{ stdio: ["pipe", "ignore", "inherit"] },
	);
	t.teardown(() => upload.kill("SIGKILL"));
	await poll("it yields", async () => (await household()).give === "none");
	t.comment(`it yielded after ${Math.round(monotonic() - began)} ms`);
	t.match(await household(), { why: "uplink", activity: "idle" });
	const before = taken;
	await sleep(3 * SECOND);
	const got = (taken - before) / 3;
	t.comment(
		`the upload got ${Math.round((100 * got) / CARRIES)} % of the uplink`,
	);
	t.ok(got > 0.7 * CARRIES, `the upload got ${got} B/s`);
	upload.stdin.end();
	await once(upload, "exit");
	await returned(t);
	const { bytes, mismatches, longestWaitMs } = await playing;
	t.match({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
	t.ok(longestWaitMs < STALL, `its player waited ${longestWaitMs} ms`);
	await viewer.process?.stop();
});
