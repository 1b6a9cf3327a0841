import t from "tap";
import { KeyLease } from "../../src/agent/keylease.ts";
import { HOUR, MINUTE } from "../../src/base/time.ts";

const START = 1_000 * HOUR;
const LIFE = 24 * HOUR;

/** A lease of a day, and the two clocks of the box that has it. */
function lease({ now = START, random = 0, elapsed = 0 } = {}) {
	const time = { now, monotonic: 5 };
	const signed = { payload: "", signature: "" };
	const purpose = "placement" as const;
	const it = new KeyLease(
		{
			envelope: { v: 1, purpose, ...signed, grant: signed },
			sealed: Buffer.alloc(0),
			issuedAt: START,
			until: START + LIFE,
		},
		elapsed,
		{ now: () => time.now },
		() => time.monotonic,
		() => random,
	);
	const pass = (ms: number) => {
		time.now += ms;
		time.monotonic += ms;
	};
	return { it, time, pass };
}

const close = (ms: number) => Math.round(ms / MINUTE) * MINUTE;

t.test("it is renewed at two thirds, and over at its end", async (t) => {
	const { it, pass } = lease();
	t.equal(it.left, LIFE);
	t.equal(close(it.renewIn), 16 * HOUR);
	pass(16 * HOUR);
	t.equal(close(it.renewIn), 0);
	t.equal(it.left, 8 * HOUR);
	pass(8 * HOUR - 1);
	t.equal(it.left, 1);
	pass(1);
	t.equal(it.left, 0);
});

t.test("not all boxes ask at once", async (t) => {
	t.equal(close(lease({ random: 1 }).it.renewIn), 18 * HOUR);
});

t.test("taken up from disk with less than a third left", async (t) => {
	const { it } = lease({ now: START + 17 * HOUR });
	t.equal(it.left, 7 * HOUR);
	t.equal(it.renewIn, 0);
});

t.test("a clock that is put back extends nothing", async (t) => {
	const { it, time, pass } = lease();
	pass(HOUR);
	time.now -= 1000 * HOUR;
	t.equal(it.left, LIFE - HOUR);
	time.monotonic += LIFE - HOUR;
	t.equal(it.left, 0);
});

t.test("nor one that is put back after the lease was taken up", async (t) => {
	const { it, time } = lease({ now: START + 17 * HOUR });
	time.now = 0;
	t.equal(it.left, 7 * HOUR);
});

t.test("a clock that is not known cuts nothing", async (t) => {
	const { it, time, pass } = lease({ now: 0 });
	t.equal(it.left, LIFE, "it is at least as late as the lease says");
	pass(HOUR);
	t.equal(it.left, LIFE - HOUR);
	time.now = START + 2 * HOUR;
	t.equal(it.left, LIFE - 2 * HOUR, "once it is known, it counts");
});

t.test("what went by before a restart still has", async (t) => {
	const { it, pass } = lease({ now: 0, elapsed: 20 * HOUR });
	t.equal(it.left, 4 * HOUR);
	pass(HOUR);
	const { elapsed } = JSON.parse(it.encode().toString());
	t.equal(elapsed, 21 * HOUR);
});
