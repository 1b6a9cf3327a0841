import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { Ledger } from "../../src/act/ledger.ts";
import { Today } from "../../src/agent/today.ts";
import { silent } from "../../src/base/log.ts";
import { HOUR } from "../../src/base/time.ts";

/** An hour before midnight in Berlin. */
const LATE = Date.parse("2027-01-04T22:00:00Z");

function clockwork(data: string) {
	const at: { now: number | undefined } = { now: LATE };
	const { counters } = new Ledger();
	const open = () =>
		Today.open({
			...{ data, counters, log: silent },
			zone: () => "Europe/Berlin",
			now: () => at.now,
		});
	return { at, counters, open };
}

t.test("a day ends at the household's midnight", async (t) => {
	const { at, counters, open } = clockwork(t.testdir());
	const today = await open();
	counters.toNeighbours = 700;
	counters.fromNeighbours = 20;
	counters.fromOrigin = 3;
	counters.toPlayers = 5;
	const moved = { given: 700, fetched: 23, fromOrigin: 3, played: 5 };
	t.same(today.figures, moved);
	at.now = LATE + HOUR;
	today.look();
	const none = { given: 0, fetched: 0, fromOrigin: 0, played: 0 };
	t.same(today.figures, none);
	counters.toNeighbours += 9;
	t.same(today.figures, { ...none, given: 9 });
	await today.close();
});

t.test("it goes on after a restart", async (t) => {
	const data = t.testdir();
	const before = clockwork(data);
	const first = await before.open();
	before.counters.toNeighbours = 700;
	await first.close();

	// The time is not known at first, and more moves.
	const after = clockwork(data);
	after.at.now = undefined;
	const second = await after.open();
	after.counters.toNeighbours = 50;
	t.equal(second.figures.given, 750);
	after.at.now = LATE + HOUR / 2;
	second.look();
	t.equal(second.figures.given, 750, "the same day");
	await second.close();

	const next = clockwork(data);
	next.at.now = undefined;
	const third = await next.open();
	next.counters.toNeighbours = 8;
	next.at.now = LATE + 9 * HOUR;
	third.look();
	t.equal(third.figures.given, 8, "another day, and what this run has moved");
	await third.close();
});

t.test("a record that is none is begun anew", async (t) => {
	const data = t.testdir();
	await mkdir(join(data, "control"));
	await writeFile(join(data, "control", "today.json"), "{");
	const today = await clockwork(data).open();
	t.equal(today.figures.given, 0);
	await today.close();
});
