// The uplink of a household with a deep queue, modelled: what this box and the household give, and how long a packet waits.
import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import { MiB, type Millis, type Rate } from "../../src/base/units.ts";
import { delayOf, learn } from "../../src/plan/queue.ts";
import {
	COMMON,
	FIRST,
	FLOOR,
	firstUplink,
	steer,
	TARGET,
	type Uplink,
} from "../../src/plan/uplink.ts";

const STEP: Millis = 250;
/** 5 Mbit/s, and a queue of 1 MiB behind it: 1.7 s. */
const CARRIES: Rate = 625_000;
const DEEP = MiB;

interface Moment {
	readonly at: Millis;
	readonly rate: Rate;
	readonly given: Rate;
	readonly delay: Millis;
}

/** @param others what the household sends; @param wanted what neighbours would take */
function run(
	span: Millis,
	{
		begin = firstUplink(0),
		queue = 0,
		others = (_: Millis): Rate => 0,
		wanted = Number.POSITIVE_INFINITY,
		carries = CARRIES,
		isBlind = false,
	} = {},
) {
	let uplink: Uplink = begin;
	const moments: Moment[] = [];
	for (let now = begin.at + STEP; now <= begin.at + span; now += STEP) {
		const given = Math.min(uplink.rate, wanted, 10 * carries);
		const came = ((given + others(now) - carries) * STEP) / SECOND;
		queue = Math.min(DEEP, Math.max(0, queue + came));
		const delay = (queue / carries) * SECOND;
		uplink = steer(uplink, {
			now,
			given,
			delay: isBlind ? undefined : delay,
		});
		moments.push({ at: now, rate: uplink.rate, given, delay });
	}
	return { uplink, queue, moments };
}

const mean = (moments: readonly Moment[], of: "given" | "delay") =>
	moments.reduce((sum, each) => sum + each[of], 0) / moments.length;

t.test("alone it uses the uplink and leaves its queue empty", async (t) => {
	const { moments } = run(120 * SECOND);
	const settled = moments.slice(60);
	t.ok(mean(settled, "given") > 0.9 * CARRIES, "nearly all of it");
	t.ok(mean(settled, "delay") < TARGET / 3, "packets hardly wait");
	t.notOk(
		moments.some(({ rate }) => rate === 0),
		"it is not taken for others",
	);
});

t.test("it begins with little, and is soon free", async (t) => {
	t.equal(firstUplink(0).rate, FIRST);
	const { uplink } = run(12 * SECOND, { carries: 1e9 });
	t.equal(uplink.rate, Number.POSITIVE_INFINITY);
	t.equal(uplink.carries, Number.POSITIVE_INFINITY);
});

t.test("who had no limit finds out that there is one now", async (t) => {
	const free = { ...firstUplink(0), rate: Number.POSITIVE_INFINITY };
	const { uplink, moments } = run(60 * SECOND, { begin: free });
	t.ok(uplink.rate < 1.2 * CARRIES, `${Math.round(uplink.rate)} B/s`);
	t.ok(mean(moments.slice(-120), "given") > 0.9 * CARRIES, "it is used");
	t.ok(mean(moments.slice(-120), "delay") < TARGET, "packets hardly wait");
});

t.test("of a rate that was never used it holds back what was", async (t) => {
	const fast = { ...firstUplink(0), rate: 10 * CARRIES, cutAt: -SECOND };
	// What the congestion window of the ways to neighbours lets through.
	const wanted = 1.1 * CARRIES;
	const { moments } = run(20 * SECOND, { begin: fast, wanted });
	const cut = moments.findIndex(({ rate }) => rate < CARRIES);
	t.ok(cut >= 0, "the queue filled");
	const again = moments.slice(cut).find(({ rate }) => rate > CARRIES / 4);
	t.ok(again !== undefined && again.rate < CARRIES, `${again?.rate} B/s next`);
});

t.test("a household that sends gets all, and within seconds", async (t) => {
	const alone = run(30 * SECOND);
	const busy = run(20 * SECOND, {
		begin: alone.uplink,
		queue: alone.queue,
		others: () => 2 * CARRIES,
	});
	const none = busy.moments.find(({ rate }) => rate === 0);
	t.ok(none && none.at - alone.uplink.at <= 8 * SECOND);
	t.equal(busy.uplink.rate, 0, "as long as it does");
	const after = run(30 * SECOND, { begin: busy.uplink, queue: busy.queue });
	const first = after.moments.find(({ rate }) => rate > 0);
	t.ok(first && first.at - busy.uplink.at >= 5 * SECOND, "not at once");
	t.ok(first && first.rate < CARRIES / 10, "gradually");
	t.ok(mean(after.moments.slice(-20), "given") > 0.5 * CARRIES);
});

t.test("little that is wanted teaches nothing", async (t) => {
	const { uplink } = run(60 * SECOND, { wanted: 100_000 });
	t.equal(uplink.rate, COMMON);
});

t.test("nodes that do not answer say nothing", async (t) => {
	const { uplink } = run(60 * SECOND, { isBlind: true });
	t.equal(uplink.rate, Number.POSITIVE_INFINITY, "what is configured holds");
	const none = { ...firstUplink(0), rate: 0 };
	t.equal(run(2 * SECOND, { begin: none, isBlind: true }).uplink.rate, 0);
	t.equal(run(4 * SECOND, { begin: none, isBlind: true }).uplink.rate, FLOOR);
	t.equal(
		run(8 * SECOND, { begin: none, isBlind: true }).uplink.rate,
		Number.POSITIVE_INFINITY,
	);
});

t.test("the delay is what is more than the shortest round trip", async (t) => {
	const answered = (...trips: number[]) =>
		trips.map((trip, i) => ({ asked: i * 250, trip }));
	const base = learn(learn([], 20, 0), 30, 100);
	t.equal(delayOf([], [], 0, 0), undefined);
	t.equal(delayOf(base, answered(20), 20, 100), 0);
	t.equal(delayOf(base, answered(20, 400, 500, 600), 1350, 1400), 380);
	t.equal(delayOf(base, answered(20, 400, 500, 21), 1000, 1000), 1);
	t.equal(delayOf(base, answered(20), 20, 16_000), undefined, "long ago");
	const early = [{ asked: 300, trip: undefined }];
	t.equal(delayOf(base, [...answered(20), ...early], 20, 370), 0);
	const waiting = [1750, 1690].map((asked) => ({ asked, trip: undefined }));
	t.equal(
		delayOf(base, [...answered(20, 400, 380, 410), ...waiting], 1160, 1800),
		360,
		"one that is on its way no longer than those before says nothing yet",
	);
	const open = [300, 550, 800, 1050].map((asked) => ({
		asked,
		trip: undefined,
	}));
	t.equal(
		delayOf(base, [...answered(20), ...open], 20, 1400),
		330,
		"they are late",
	);
});

t.test("the shortest of the last ten minutes counts", async (t) => {
	let base = learn([], 10, 0);
	for (let minute = 1; minute < 10; minute++)
		base = learn(base, 50 + minute, minute * 60 * SECOND);
	const now = 600 * SECOND;
	const probes = [{ asked: now - 100, trip: 60 }];
	t.equal(delayOf(base, probes, now, now), 50);
	t.equal(delayOf(learn(base, 60, now), probes, now, now), 9);
});
