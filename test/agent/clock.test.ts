import { randomBytes } from "node:crypto";
import { join } from "node:path";
import t from "tap";
import { BoxClock } from "../../src/agent/clock.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import {
	type Envelope,
	envelope,
	seal,
	trustIn,
} from "../../src/wire/envelope.ts";
import { parseMessage } from "../../src/wire/json.ts";
import { newBox, Operator, REGION } from "../control/operator.ts";

const BUILT = Date.UTC(2026, 0, 1);
const NOW = Date.UTC(2026, 6, 1);

function scene(folder: string, operator = new Operator(), box = newBox()) {
	const ticks = { now: 1e6 };
	const clock = new BoxClock(BUILT, () => ticks.now);
	const trust = trustIn(operator.root.publicKey, clock.now, clock.latest);
	const identity = { box, region: REGION, trust };
	const path = join(folder, "time.json");
	const say = (at: number, serial = 1): Envelope => {
		const signer = operator.signer("issuer", NOW + 1000 * DAY, serial);
		const nonce = randomBytes(16).toString("hex");
		const { network } = trust;
		const bytes = seal(signer, { network, box, nonce, at });
		const read = parseMessage(envelope, bytes);
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	const learn = (at: number, serial = 1, tookUpTo = 40) => {
		const said = { network: trust.network, box, nonce: "", at };
		clock.learn({ said, envelope: say(at, serial), tookUpTo });
	};
	return { ticks, clock, trust, identity, path, say, learn, operator, box };
}

t.test("time is an interval until the issuer has answered", async (t) => {
	const { ticks, clock, identity, path, learn, say } = scene(t.testdir());
	await clock.begin(path, identity, silent);
	t.equal(clock.now(), BUILT);
	t.equal(clock.latest(), Number.POSITIVE_INFINITY);
	ticks.now += HOUR;
	t.equal(clock.now(), BUILT + HOUR, "it goes on from the floor");
	clock.raise(BUILT + DAY, say(BUILT));
	clock.raise(BUILT, say(BUILT));
	t.equal(clock.now(), BUILT + DAY, "and only ever up");
	t.notOk(clock.isKnown);

	learn(NOW);
	t.ok(clock.isKnown);
	t.equal(clock.now(), NOW);
	t.equal(clock.latest(), NOW + 40, "the answer was under way");
	ticks.now += 5;
	t.equal(clock.now(), NOW + 5);
	t.same(clock.span(), { earliest: NOW + 5, latest: NOW + 45 });
	await clock.close();
});

t.test("what was said and what went by outlast a restart", async (t) => {
	const folder = t.testdir();
	const first = scene(folder);
	await first.clock.begin(first.path, first.identity, silent);
	first.learn(NOW);
	first.ticks.now += 3 * HOUR;
	await first.clock.close();

	const next = scene(folder, first.operator, first.box);
	await next.clock.begin(next.path, next.identity, silent);
	t.equal(next.clock.now(), NOW + 3 * HOUR);
	t.notOk(next.clock.isKnown, "how long it was off is not known");
	next.ticks.now += HOUR;
	await next.clock.close();
	const last = scene(folder, first.operator, first.box);
	await last.clock.begin(last.path, last.identity, silent);
	t.equal(last.clock.now(), NOW + 4 * HOUR, "nor lost without an answer");

	await t.test("another's is not believed", async (t) => {
		const other = scene(folder);
		await other.clock.begin(other.path, other.identity, silent);
		t.equal(other.clock.now(), BUILT);
	});
});

t.test(
	"what a thief of the issuer's key said goes with that key",
	async (t) => {
		const folder = t.testdir();
		const { clock, trust, identity, path, learn, operator, box } =
			scene(folder);
		await clock.begin(path, identity, silent);
		learn(NOW + 900 * DAY, 1);
		t.equal(clock.now(), NOW + 900 * DAY);
		trust.minimum.set("issuer", 2);
		t.equal(clock.now(), BUILT);
		t.equal(clock.latest(), Number.POSITIVE_INFINITY);
		learn(NOW, 2);
		t.equal(clock.now(), NOW);
		t.ok(clock.isKnown);
		await clock.close();

		learn(NOW + 900 * DAY, 1);
		await clock.close();
		const next = scene(folder, operator, box);
		await next.clock.begin(next.path, next.identity, silent);
		t.equal(next.clock.now(), NOW + 900 * DAY, "before the mandate is read");
		next.trust.minimum.set("issuer", 2);
		t.equal(next.clock.now(), BUILT);
	},
);

t.test("how long a box has run is nobody's word", async (t) => {
	const folder = t.testdir();
	const first = scene(folder);
	await first.clock.begin(first.path, first.identity, silent);
	t.equal(first.clock.ran(), 0);
	first.ticks.now += HOUR;
	first.learn(NOW);
	t.equal(first.clock.ran(), HOUR, "a time that jumps is not run");
	first.trust.minimum.set("issuer", 2);
	t.equal(first.clock.ran(), HOUR, "nor one that is taken back");
	await first.clock.close();

	const next = scene(folder, first.operator, first.box);
	await next.clock.begin(next.path, next.identity, silent);
	next.ticks.now += HOUR + 0.5;
	t.equal(next.clock.ran(), 2 * HOUR, "it goes on after a restart");
	// Its power is cut: what was not written down is lost. And the word of another operator is not believed.
	const other = scene(folder);
	await other.clock.begin(other.path, other.identity, silent);
	t.equal(other.clock.ran(), HOUR);
	await other.clock.close();
	await next.clock.close();

	await t.test("though it never heard the time", async (t) => {
		const folder = t.testdir();
		const first = scene(folder);
		await first.clock.begin(first.path, first.identity, silent);
		first.ticks.now += HOUR;
		await first.clock.close();
		const next = scene(folder, first.operator, first.box);
		await next.clock.begin(next.path, next.identity, silent);
		t.equal(next.clock.ran(), HOUR);
		await next.clock.close();
	});
});

t.test("what is said before it begins is kept, and at once", async (t) => {
	const folder = t.testdir();
	const former = scene(folder);
	await former.clock.begin(former.path, former.identity, silent);
	former.learn(NOW);
	await former.clock.close();
	const enrolled = scene(folder, former.operator, former.box);
	enrolled.learn(NOW + DAY);
	await enrolled.clock.begin(enrolled.path, enrolled.identity, silent);
	t.equal(enrolled.clock.now(), NOW + DAY);
	const readNow = async () => {
		const cut = scene(folder, former.operator, former.box);
		await cut.clock.begin(cut.path, cut.identity, silent);
		return cut.clock.now();
	};
	while ((await readNow()) !== NOW + DAY);
	t.pass("a power cut does not take it");
	await enrolled.clock.close();
});

t.test("nor is his word kept under another's name", async (t) => {
	const folder = t.testdir();
	const first = scene(folder);
	const { clock, trust, identity, path, learn, say, operator, box } = first;
	await clock.begin(path, identity, silent);
	clock.raise(NOW + 900 * DAY, say(NOW, 1));
	learn(NOW + 800 * DAY, 1);
	t.equal(clock.now(), NOW + 900 * DAY, "as his papers say");
	// The operator speaks with the next key, and the old one is not retired yet.
	learn(NOW, 2);
	first.ticks.now += HOUR;
	t.equal(clock.now(), NOW + 900 * DAY + HOUR);
	await clock.close();
	trust.minimum.set("issuer", 2);
	t.equal(clock.now(), NOW + HOUR);

	const next = scene(folder, operator, box);
	next.trust.minimum.set("issuer", 2);
	await next.clock.begin(next.path, next.identity, silent);
	t.equal(next.clock.now(), NOW + HOUR, "after a restart, too");
	await next.clock.close();
});
