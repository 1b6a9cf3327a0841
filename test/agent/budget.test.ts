import { join } from "node:path";
import t from "tap";
import { budgetOf, WriteBudget } from "../../src/agent/budget.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import { GiB } from "../../src/base/units.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { makeRegion, meet, watch } from "../swarm/region.ts";

const LIMIT = 24_000;

t.test("what is written is forgiven over a day", async (t) => {
	const path = join(t.testdir(), "control", "writes.json");
	const time = { ran: 5 * DAY };
	const open = (budget = LIMIT, boot = "a") =>
		WriteBudget.open({
			...{ budget, boot, path, ran: () => time.ran, log: silent },
		});
	const first = await open();
	t.notOk(first.isSpent);
	first.wrote(LIMIT - 1);
	t.notOk(first.isSpent);
	first.wrote(1001);
	t.ok(first.isSpent);
	t.equal(first.spent, 25_000);
	time.ran += HOUR;
	t.equal(first.spent, 24_000);
	t.ok(first.isSpent);
	time.ran += HOUR / 2;
	t.ok(first.isSpent, "not on and off again");
	time.ran += HOUR;
	t.notOk(first.isSpent);
	first.wrote(1);
	t.notOk(first.isSpent);
	await first.close();

	const again = await open();
	t.equal(again.spent, 22_501, "a restart forgives nothing");
	time.ran += DAY;
	t.equal(again.spent, 0);
	again.wrote(LIMIT);
	await again.close();
	// A power cut took an hour of the clock with it.
	time.ran -= HOUR;
	const cut = await open();
	t.ok(cut.spent <= LIMIT && cut.isSpent);
	await cut.close();

	const none = await open(0);
	t.same(none.written, { boot: 49_001, all: 49_001 });
	none.wrote(1e12);
	t.notOk(none.isSpent);
	await none.close();
	const booted = await open(LIMIT, "b");
	t.same(booted.written, { boot: 0, all: 1e12 + 49_001 });
	booted.wrote(5);
	t.same(booted.written, { boot: 5, all: 1e12 + 49_006 });
	await booted.close();
});

t.test("the budget of a disk that nobody gave one", (t) => {
	const flash = { size: 8 * GiB, wear: undefined };
	t.equal(budgetOf("auto", flash), 2 * GiB);
	t.equal(budgetOf("auto", undefined), 0);
	t.equal(budgetOf(5, flash), 5);
	t.end();
});

t.test("filling waits for it, and playing does not", async (t) => {
	const film = makeTitle(400_000);
	const region = await makeRegion(t, film);
	let isSpent = true;
	const a = await region.box("a");
	await hold(a, film);
	const b = await region.box("b", {
		...{ mayFill: () => !isSpent, titles: [film] },
	});
	await meet(b, a);
	const all = `0-${film.manifest.shards.length - 1}`;
	const c = await region.box("c");
	await meet(c, a);
	for (const box of [b, c])
		box.reconciler.place([{ id: film.id, ranks: [{ rank: 0, shards: all }] }]);
	await until(() => c.progress()?.plan.phase === "applied");
	await until(() => (b.progress()?.plan.placedShards ?? 0) > 0);
	t.match(b.progress()?.plan, { phase: "fetching", heldShards: 0 });
	t.same(b.store.inventory(film.id)?.partial, [], "nothing is begun");
	const seen = await watch(b, film, 0, 50_000);
	t.ok(seen.equals(film.plaintext.subarray(0, 50_000)));
	const kept = () => {
		const { held, partial } = b.store.inventory(film.id) ?? {};
		return (held?.count ?? 0) + (partial?.length ?? 0);
	};
	await until(() => kept() > 0);
	t.ok(kept() < film.manifest.shards.length, "and only what is watched stays");
	isSpent = false;
	await until(() => b.progress()?.plan.phase === "applied");
});
