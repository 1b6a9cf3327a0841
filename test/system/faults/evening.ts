// Run in a network of its own by faults.test.ts: viewers at boxes that hold nothing, and what befalls them and their neighbours. Where
// two things happen at once, neither is to be noticed.
import t, { type Test } from "tap";
import { HUB } from "../../../scripts/bench/network/network.ts";
import type { Progress, Session } from "../../../scripts/player/player.ts";
import { SECOND } from "../../../src/base/time.ts";
import type { Rate } from "../../../src/base/units.ts";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { counters, type Film, poll } from "../desk.ts";
import { BLOCK_LIES, startLiar } from "../liar.ts";
import { openRegion, UP } from "./region.ts";
import { busiest, mustBeSmooth, press } from "./viewer.ts";
import { calm, lose, throttle, unplug } from "./weather.ts";

/** Bits a second: as much as an uplink takes. */
const RATE: Rate = 5e6;
/** Blocks in a shard: few, so that a short film is striped over many boxes. */
const SHARD = 16;

t.setTimeout(600_000);
const region = await openRegion(t, { holders: 9, viewers: 3, copies: 5 });
const { desk, holders, network } = region;
const [anna, bert, carl] = region.viewers as [DeskBox, DeskBox, DeskBox];
const films = await region.publish(4, 32 * SECOND, RATE, SHARD);
const [first, second, third, fourth] = films as [Film, Film, Film, Film];
await region.filled(films);
await region.narrow();

/** Starts, and winds to where nothing has come yet; keeps little ahead. */
const WINDING = {
	places: [0, 0.6],
	play: 5 * SECOND,
	buffer: 4 * SECOND,
} satisfies Partial<Session>;
/** Has just begun to see the place where it wound to: the worst moment. */
const hasWound = ({ shown }: Progress) => shown > WINDING.play + 100;

function watch(
	t: Test,
	what: string,
	box: DeskBox,
	film: Film,
	session: Partial<Session> = WINDING,
) {
	const viewer = press(t, desk, box, film, session);
	return { ...viewer, end: () => mustBeSmooth(t, desk, viewer, what) };
}

async function many(t: Test): Promise<void> {
	const what = "two titles and three viewers at one box";
	const viewers = [first, second, first].map((film) =>
		watch(t, what, carl, film),
	);
	for (const { end } of viewers) await end();
}

t.test("20 ms to and fro, a restart, and three at a box", async (t) => {
	await network.delay(20);
	// What hls.js keeps ahead, and how it asks again, bridges a restart.
	const patient = { play: 20 * SECOND, buffer: 30 * SECOND, retries: true };
	const what = "the box restarts its agent";
	const viewer = watch(t, what, bert, first, patient);
	await viewer.until(({ ahead }) => ahead >= 8 * SECOND);
	await bert.process?.stop();
	await desk.startBox(bert);
	const far = watch(t, "20 ms to and fro", anna, first);
	await Promise.all([far.end(), many(t), viewer.end()]);
	await network.delay(0);
});

async function besideLiar(t: Test): Promise<void> {
	const lie = BLOCK_LIES["wrong blocks"];
	const liar = await startLiar(t, desk, "liar", {
		...{ film: second, lie, host: HUB },
	});
	await poll("the liar is a neighbour", async () => {
		liar.meet(bert.id);
		const { neighbours } = (await desk.statusOf(bert)).swarm;
		return neighbours.some(({ box }) => box === liar.box);
	});
	await watch(t, "a liar", bert, second).end();
	t.ok(liar.lies > 0, `it lied ${liar.lies} times`);
	t.ok((await counters(desk, bert)).wrongBlocks > 0);
	await liar.leave();
}

t.test("one packet in fifty is lost, and one neighbour lies", async (t) => {
	await lose(2);
	const lossy = watch(t, "one packet in fifty is lost", anna, second);
	await Promise.all([lossy.end(), besideLiar(t)]);
	await calm();
});

t.test("a neighbour of 0.2 Mbit/s among fast ones", async (t) => {
	const slow = region.nodeOf(holders[0] as DeskBox);
	await throttle(slow, 0.2e6);
	const viewer = watch(t, "one neighbour is slow", anna, third);
	await viewer.end();
	await throttle(slow, UP);
});

t.test("the neighbour that serves and the origin are gone", async (t) => {
	const unlucky = watch(t, "who serves is unplugged", bert, third);
	const other = watch(t, "the origin is gone", carl, third);
	await unlucky.until(hasWound);
	const serving = await busiest(desk, bert, holders);
	await Promise.all([unplug(region.nodeOf(serving)), region.endOrigin()]);
	await Promise.all([unlucky.end(), other.end()]);
	await calm();
});

t.test("broker, DHT nodes and three boxes in ten are gone", async (t) => {
	const what = "broker, headend and DHT nodes are gone";
	const viewers = [
		watch(t, "three boxes in ten are gone", anna, fourth),
		watch(t, what, bert, fourth),
	];
	await Promise.all(viewers.map((viewer) => viewer.until(hasWound)));
	const doomed = [...holders.slice(0, 3).map(({ process }) => process)];
	doomed.push(desk.headend, ...desk.dhtNodes);
	const ends = doomed.map((process) => process?.stop("SIGKILL"));
	await Promise.all([...ends, region.endBroker()]);
	for (const { end } of viewers) await end();
});
