// A title that is taken back stays on the disk for a day that the box has run: the whole way from the head to the disk.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { BoxClock } from "../../src/agent/clock.ts";
import { Wishes, type WishParts } from "../../src/agent/wishes.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import { Heads } from "../../src/control/heads.ts";
import { trustIn } from "../../src/wire/envelope.ts";
import { newBox, newTitle, Operator, REGION } from "../control/operator.ts";

const BUILT = Date.UTC(2026, 0, 1);
const NOW = Date.UTC(2026, 6, 1);
const film = newTitle();

/** The parts of a box, none of which does anything. */
const idle: WishParts = {
	catalog: { follow: async () => undefined },
	trunk: { rate: 0 },
	swarm: {
		headChanged: () => undefined,
		retell: () => undefined,
		renewed: () => undefined,
	},
	reporter: { accepted: () => undefined },
	reconciler: { place: () => undefined, purge: () => undefined },
	household: { replaced: () => undefined },
	intake: { reconsider: () => undefined },
	library: { shut: () => undefined },
	keys: { forget: async () => undefined },
	lease: { renew: async () => undefined, look: () => undefined },
	updater: { order: async () => undefined },
	attests: { look: async () => undefined, acknowledged: async () => undefined },
	log: silent,
};

/** One run of a box. */
async function run(folder: string, operator: Operator, box = newBox()) {
	const ticks = { now: 0 };
	const clock = new BoxClock(BUILT, () => ticks.now);
	const trust = trustIn(operator.root.publicKey, clock.now, clock.latest);
	const identity = { box, region: REGION, trust };
	await clock.begin(join(folder, "time.json"), identity, silent);
	const path = join(folder, "head.json");
	const heads = new Heads(path, identity, clock.ran, silent);
	await heads.load();
	const wishes = new Wishes(clock.ran);
	const look = () =>
		wishes.begin(idle, { standing: heads.standing, placement: undefined });
	look();
	const told = (at: number, ordered: number) => {
		const revoke = operator.signer("revoke", NOW + 1000 * DAY);
		const purged = [{ title: film, at: ordered }];
		heads.take(operator.parts(at, { revoke, purged }));
		look();
	};
	/** The issuer says what time it is. */
	const learn = (at: number) => {
		const said = { network: trust.network, box, nonce: "", at };
		const { bans: envelope } = operator.parts(at);
		if (envelope !== undefined) clock.learn({ said, envelope, tookUpTo: 40 });
	};
	const stop = async () => {
		await clock.close();
		await heads.close();
	};
	const mayRemove = () => wishes.mayRemove(film);
	return { ticks, box, told, learn, stop, mayRemove };
}

t.test("the time that is said makes the day no shorter", async (t) => {
	const it = await run(t.testdir(), new Operator());
	const { ticks, told, learn, mayRemove } = it;
	told(NOW, NOW - HOUR);
	t.notOk(mayRemove());
	learn(NOW);
	t.notOk(mayRemove(), "it was off for months, and was told an hour ago");
	learn(NOW + 900 * DAY);
	t.notOk(mayRemove(), "nor does a forged one");
	ticks.now += DAY - 1;
	t.notOk(mayRemove());
	ticks.now += 1;
	t.ok(mayRemove());
	await it.stop();
});

t.test("the day stands still while the box is off", async (t) => {
	const folder = t.testdir();
	const operator = new Operator();
	const first = await run(folder, operator);
	first.learn(NOW);
	first.told(NOW, NOW - HOUR);
	first.ticks.now += 20 * HOUR;
	await first.stop();
	const next = await run(folder, operator, first.box);
	next.learn(NOW + 30 * DAY);
	t.notOk(next.mayRemove());
	next.ticks.now += 4 * HOUR;
	t.ok(next.mayRemove());
	await next.stop();

	await rm(join(folder, "time.json"));
	const last = await run(folder, operator, first.box);
	last.ticks.now += DAY - 1;
	t.notOk(last.mayRemove(), "it begins again when what the box ran is lost");
	last.ticks.now += 1;
	t.ok(last.mayRemove());
	await last.stop();
});
