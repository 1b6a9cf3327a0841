import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, SECOND } from "../../src/base/time.ts";
import { type Desired, Placements } from "../../src/control/desired.ts";
import { newBox, Operator, REGION } from "./operator.ts";

const NOW = Date.UTC(2026, 0, 10, 12);
const REV = NOW / SECOND;
const DAY_OF_REVS = DAY / SECOND;

/** A box's placements by a clock of their own. */
function open(t: Test, operator = new Operator(), box = newBox()) {
	const time = { now: NOW, latest: NOW };
	const trust = {
		...operator.trust,
		now: () => time.now,
		latest: () => time.latest,
		minimum: new Map(),
	};
	const accepted: Desired[] = [];
	const placements = new Placements({
		path: join(t.testdir(), "desired.json"),
		identity: { box, region: REGION, trust },
		fetchRef: () => Promise.reject(new Error("nothing is fetched")),
		onAccepted: (desired) => accepted.push(desired),
		onFault: () => undefined,
		log: silent,
	});
	t.teardown(() => placements.close());
	const signer = operator.signer("placement", NOW + 1000 * DAY);
	const take = async (epoch: number, rev: number) => {
		const bytes = operator.placement(box, epoch, rev, undefined, signer);
		const taken = await placements.take(bytes);
		return taken.ok ? "taken" : taken.reason;
	};
	return { time, placements, take };
}

t.test("a forged epoch stays ahead for no longer than a day", async (t) => {
	const { time, placements, take } = open(t);
	t.equal(await take(1, REV), "taken");
	t.equal(await take(Number.MAX_SAFE_INTEGER, REV - 1), "rollback");
	t.equal(await take(2, REV + DAY_OF_REVS), "taken");
	t.equal(await take(1, REV + 1), "rollback");
	time.now = time.latest = NOW + DAY + SECOND;
	t.equal(await take(1, REV + DAY_OF_REVS + 1), "taken");
	t.match(placements.last, { epoch: 1 });
});

t.test("what came before the time was known is no floor", async (t) => {
	const { time, placements, take } = open(t);
	t.equal(await take(1, REV + DAY_OF_REVS + 1), "too-far-ahead");
	time.latest = Number.POSITIVE_INFINITY;
	t.equal(await take(1, REV + 900 * DAY_OF_REVS), "taken");
	t.equal(await take(1, REV), "rollback");
	time.latest = NOW;
	t.equal(await take(1, REV), "taken");
	t.match(placements.last, { rev: REV });
});
