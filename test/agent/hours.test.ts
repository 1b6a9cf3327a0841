import t from "tap";
import { Hours } from "../../src/agent/hours.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import type { FillLeave } from "../../src/plan/hours.ts";
import { readWindows } from "../../src/plan/windows.ts";
import type { FillHours } from "../../src/wire/hours.ts";
import type { State } from "../../src/wire/reports.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { makeRegion, meet } from "../swarm/region.ts";

function hours(zone: string, ...windows: object[]): FillHours {
	const read = readWindows(windows);
	if (!read.ok) throw new Error(read.detail);
	return { zone, windows: read.value };
}

const fill = (own: FillHours | undefined) => ({
	...{ takeover: 0, writeBudget: 0 },
	...{ zone: own?.zone ?? "UTC", windows: own?.windows ?? [] },
});

/** A Monday at noon. */
const NOON = Date.parse("2027-01-04T12:00:00Z");

function clockwork(own?: FillHours) {
	const said: FillLeave[] = [];
	const lines: string[] = [];
	const at: {
		now: number | undefined;
		power: State["power"];
		policy: FillHours | undefined;
	} = { now: NOON, power: "active", policy: undefined };
	const it = new Hours({
		own: fill(own),
		policy: () => at.policy,
		power: () => at.power,
		now: () => at.now,
		onChange: (leave) => said.push(leave),
		log: Object.assign(Object.create(silent), {
			warn: (_: object, msg: string) => lines.push(msg),
		}),
	});
	return { at, it, said, lines };
}

t.test("the operator's hours come before the box's", async (t) => {
	const night = hours("UTC", { hours: "1-6" });
	const { at, it, said, lines } = clockwork(night);
	t.equal(said.length, 1, "what holds at first is said, too");
	t.match(it.leave, { closed: "hours", until: NOON + 13 * HOUR });
	t.equal(it.from, "box");
	at.policy = hours("UTC", { hours: "11-13", trunk: "8 Mbit/s" });
	it.look();
	t.match(said.at(-1), { trunk: 1_000_000, closed: undefined });
	t.equal(it.from, "operator");
	at.policy = hours("Europe/Entenhausen", { hours: "12-13" });
	it.look();
	it.look();
	t.notOk(it.leave.closed, "by UTC");
	t.equal(it.from, "operator");
	t.same(lines, ["a time zone is not known here"]);
	at.policy = undefined;
	it.look();
	t.equal(it.leave.closed, "hours");
	it.change(fill(undefined));
	t.notOk(it.leave.closed, "it has none any more");
	t.equal(it.from, undefined);
	it.close();
});

t.test("a clock that jumps", async (t) => {
	const { at, it, said } = clockwork(
		hours("Europe/Berlin", { hours: "13-14" }),
	);
	t.notOk(it.leave.closed, "it is one o'clock there");
	for (const [now, closed] of [
		[undefined, "time-unknown"],
		[NOON, undefined],
		[NOON + 365 * DAY, undefined],
		[NOON + 365 * DAY + HOUR, "hours"],
		[NOON - 365 * DAY + HOUR, "hours"],
		[NOON - 365 * DAY, undefined],
		[0, "hours"],
	] as const) {
		at.now = now;
		it.look();
		t.equal(said.at(-1)?.closed, closed, `${now}`);
	}
	const { length } = said;
	it.look();
	t.equal(said.length, length, "what is as it was is not said again");
	it.close();
});

t.test("power", async (t) => {
	const { at, it, said } = clockwork();
	t.notOk(it.leave.closed);
	at.power = "standby";
	it.look();
	t.equal(said.at(-1)?.closed, "standby");
	it.change(fill(hours("UTC", { hours: "12-13", standby: true })));
	t.notOk(it.leave.closed);
	at.power = "off";
	it.look();
	t.equal(it.leave.closed, "standby");
	it.close();
});

t.test(
	"what is under way is stopped when its hour is over, and goes on where it was",
	async (t) => {
		const film = makeTitle(2_000_000);
		const region = await makeRegion(t, film);
		const a = await region.box("a", { up: 200_000 });
		await hold(a, film);
		let open = true;
		const b = await region.box("b", { isOpen: () => open, titles: [film] });
		await meet(b, a);
		const all = `0-${film.manifest.shards.length - 1}`;
		b.reconciler.place([{ id: film.id, ranks: [{ rank: 1, shards: all }] }]);
		const blocks = () =>
			(b.store.inventory(film.id)?.partial ?? []).reduce(
				(sum, part) => sum + part.blocks.count,
				0,
			);
		await until(() => blocks() > 0);
		open = false;
		b.reconciler.reconsider();
		await until(() => !b.fetcher.isFetching(film.id));
		const { heldShards = 0, placedShards = 0 } = b.progress()?.plan ?? {};
		t.ok(heldShards < placedShards);
		const { received = 0 } = b.swarm.neighbours.get(a.id) ?? {};
		const kept = b.store.usedBytes;
		t.ok(kept > 0, "what has come stays");
		a.swarm.pacer.rate = 0;
		open = true;
		b.reconciler.reconsider();
		await until(() => b.progress()?.plan.phase === "applied");
		const more = (b.swarm.neighbours.get(a.id)?.received ?? 0) - received;
		t.ok(more <= b.store.usedBytes - kept, "and does not come once more");
	},
);
