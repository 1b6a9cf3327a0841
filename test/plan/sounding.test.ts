// The first seconds of giving over an uplink that nothing is known of, with probes as they go and come: how much waits in its queue.
import t from "tap";
import { Pace } from "../../src/agent/household/pace.ts";
import { MINUTE, SECOND } from "../../src/base/time.ts";
import type { Millis, Rate } from "../../src/base/units.ts";
import { type Base, delayOf, learn } from "../../src/plan/queue.ts";
import {
	COMMON,
	firstUplink,
	nextLook,
	steer,
	type Uplink,
} from "../../src/plan/uplink.ts";

const STEP: Millis = 5;
/** From active to nothing that leaves the uplink. */
const MOST: Millis = 0.5 * SECOND;

/** What the modem's queue holds, and the buffer of a socket that feeds it. */
const BUFFER = 4e6;

/** Even numbers from 0 to 1, the same ones each time. */
function draws(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
		return state / 2 ** 31;
	};
}

/**
 * Neighbours take all that they may, as far as a buffer of the sender's holds it. Gives how long a packet waits at most, and how much
 * was given.
 * @param trip to the node and back @param uplink as it is known before
 */
function begin(
	carries: Rate,
	trip: Millis,
	seed: number,
	span: Millis,
	uplink: Uplink = firstUplink(0),
) {
	const draw = draws(seed);
	const pace = new Pace(SECOND);
	let base: Base = [];
	let probes: { asked: Millis; due: Millis; trip: Millis | undefined }[] = [];
	let [heardAt, next, total, queue, longest] = [0, 0, 0, 0, 0];
	for (let now = 0; now < span; now += STEP) {
		for (const probe of probes) {
			if (probe.trip !== undefined || now < probe.due) continue;
			probe.trip = probe.due - probe.asked;
			heardAt = now;
			base = learn(base, probe.trip, now);
		}
		if (now >= next) {
			const wait = (queue / carries) * SECOND;
			const due = now + trip + wait + 10 * draw();
			probes = probes.filter(({ asked }) => now - asked < 8 * SECOND);
			probes.push({ asked: now, due, trip: undefined });
			const given = pace.note(total, now);
			const delay = delayOf(base, probes, heardAt, now);
			uplink = steer(uplink, { now, delay, given });
			next = now + nextLook(uplink, given) * (0.75 + draw() / 2);
		}
		// What is wanted comes after the first probe has gone.
		const may = now < trip ? 0 : (uplink.rate * STEP) / SECOND;
		const given = Math.min(may, BUFFER - queue);
		total += given;
		queue = Math.max(0, queue + given - (carries * STEP) / SECOND);
		longest = Math.max(longest, (queue / carries) * SECOND);
	}
	return { longest, given: total / (span / SECOND) };
}

t.test("no more is queued than half a second carries", async (t) => {
	for (const megabits of [1, 2, 3, 5, 10, 50])
		for (const trip of [1, 20, 40]) {
			const carries = megabits * 125_000;
			const all = Array.from({ length: 20 }, (_, seed) =>
				begin(carries, trip, seed, 20 * SECOND),
			);
			const longest = Math.max(...all.map((each) => each.longest));
			const least = Math.min(...all.map(({ given }) => given));
			const what = `${megabits} Mbit/s, ${trip} ms`;
			t.ok(longest <= MOST, `${what}: ${Math.round(longest)} ms`);
			// The widest of them takes that long to be found out.
			if (megabits <= 10) t.ok(least > 0.6 * carries, `${what} is used`);
		}
});

t.test("nor after a rest, whatever it carried before", async (t) => {
	const free = { ...firstUplink(-MINUTE), rate: Number.POSITIVE_INFINITY };
	const fast = { ...free, rate: 8 * COMMON, carries: 8 * COMMON };
	for (const [what, before] of Object.entries({ free, fast }))
		for (const megabits of [1, 2, 5, 10]) {
			const carries = megabits * 125_000;
			const all = Array.from({ length: 20 }, (_, seed) =>
				begin(carries, 20, seed, 30 * SECOND, before),
			);
			const longest = Math.max(...all.map((each) => each.longest));
			const least = Math.min(...all.map(({ given }) => given));
			const name = `${what}, then ${megabits} Mbit/s`;
			t.ok(longest <= MOST, `${name}: ${Math.round(longest)} ms`);
			t.ok(least > 0.6 * carries, `${name} is used: ${Math.round(least)}`);
		}
});

t.test("most uplinks are used as soon as a film needs them", async (t) => {
	const { given } = begin(625_000, 20, 1, 3 * SECOND);
	t.ok(given > 0.7 * 625_000, `${Math.round(given)} B/s in three seconds`);
});
