import t, { type Test } from "tap";
import { silent } from "../../../src/base/log.ts";
import { DAY, HOUR } from "../../../src/base/time.ts";
import { Recalls } from "../../../src/headend/control/recalls.ts";
import { Entitlement } from "../../../src/headend/entitlement/entitlement.ts";
import { regions } from "../../../src/headend/fleet/views.ts";
import type { OperatorConfig } from "../../../src/headend/operator/config.ts";
import type { BoxId, TitleId } from "../../../src/wire/ids.ts";
import { bench, fillOf, recordOf } from "../fixture.ts";

const film = recordOf("a".repeat(64) as TitleId);
const other = recordOf("b".repeat(64) as TitleId);

async function open(
	t: Test,
	over: Partial<OperatorConfig["entitlement"]> = {},
) {
	const it = await bench(t);
	const time = { now: 1000 * DAY };
	const { config } = it.operator;
	const entitlement = { ...config.entitlement, ...over };
	const operator = { ...it.operator, config: { ...config, entitlement } };
	const start = async () => {
		const started = await Entitlement.open(
			operator,
			it.database,
			silent,
			() => time.now,
		);
		t.teardown(() => started.close());
		return started;
	};
	const records = async () => {
		const { rows } = await it.database.query<{ box: BoxId; title: TitleId }>(
			"SELECT box, title FROM leases ORDER BY given_at",
		);
		return rows.map(({ box, title }) => [box, title]);
	};
	const rights = await start();
	return { ...it, time, rights, start, records };
}

t.test("a rule for the box counts before the one for all", async (t) => {
	const { rights, box, time } = await open(t);
	const [ann, ben] = [await box(), await box()];
	const kinds = async () => [
		(await rights.decide(ann, film)).kind,
		(await rights.decide(ben, film)).kind,
		(await rights.decide(ben, other)).kind,
	];
	t.same(await kinds(), ["lease", "lease", "lease"]);
	time.now++;
	t.same(await rights.rule(film.id, ann, "allow"), []);
	t.same(
		await rights.rule(film.id, undefined, "deny"),
		[ben],
		"who holds a lease that ends is to be told",
	);
	t.same(await kinds(), ["lease", "denied", "lease"]);
	t.match(await rights.rules(), [
		{ title: film.id, box: ann, rule: "allow" },
		{ title: film.id, box: null, rule: "deny" },
	]);
	await rights.rule(film.id, undefined, undefined);
	t.same(await kinds(), ["lease", "lease", "lease"]);
	t.same(await rights.rule(film.id, ann, "deny"), [ann]);
	t.same(await kinds(), ["denied", "lease", "lease"]);
});

t.test("a box that was away is told when it is back", async (t) => {
	const { rights, box } = await open(t);
	const ann = await box();
	await rights.decide(ann, film);
	const asked: unknown[] = [];
	let away = true;
	const recalls = new Recalls(
		rights,
		{
			async ask(box, body) {
				asked.push([box, body]);
				if (away) throw new Error("it did not answer");
				return { id: "1", session: "2", ok: true };
			},
		},
		silent,
	);
	await recalls.remind(ann);
	t.same(asked, []);
	await recalls.tell(await rights.rule(film.id, undefined, "deny"), film.id);
	t.same(await rights.recalled(ann), [film.id]);
	away = false;
	await recalls.remind(ann);
	t.same(await rights.recalled(ann), []);
	await recalls.remind(ann);
	const body = { kind: "key-revoked", title: film.id };
	t.same(asked, [
		[ann, body],
		[ann, body],
	]);
});

t.test("what is over is not called back", async (t) => {
	const { rights, box, time } = await open(t);
	await rights.decide(await box(), film);
	time.now += DAY;
	t.same(await rights.rule(film.id, undefined, "deny"), []);
});

t.test("records go when they are old, or when they are to", async (t) => {
	const { rights, box, time, records, start } = await open(t);
	const [ann, ben] = [await box(), await box()];
	await rights.decide(ann, film);
	time.now += HOUR;
	await rights.decide(ann, film);
	await rights.decide(ann, other);
	await rights.decide(ben, film);
	t.equal((await records()).length, 3, "one for each box and title");
	time.now += DAY;
	t.equal(await rights.erase(ann), 2);
	t.same(await records(), [[ben, film.id]]);
	t.equal(await rights.erase(ann), 0);
	time.now -= DAY;
	time.now += 30 * DAY;
	await start();
	t.equal((await records()).length, 1);
	time.now++;
	await start();
	t.same(await records(), []);
});

t.test("what is erased can be called back while it runs", async (t) => {
	const { rights, box, time, records, start, database } = await open(t);
	const ann = await box();
	await rights.decide(ann, film);
	t.equal(await rights.erase(ann), 1);
	t.equal(await rights.erase(ann), 0);
	const { rows } = await database.query("SELECT given_at, allowed FROM leases");
	t.same(rows, [{ given_at: 0, allowed: null }]);
	t.same(await rights.rule(film.id, undefined, "deny"), [ann]);
	t.equal(await rights.erase(ann), 0);
	t.same(await rights.recalled(ann), [film.id], "when it is back, too");
	time.now += DAY;
	await start();
	t.same(await records(), []);
});

t.test("how much was played is erased, what was given is not", async (t) => {
	const { rights, box, database, fleet } = await open(t);
	const [ann, ben] = [await box(), await box()];
	const told = async (box: BoxId, session: string, played: number) => {
		const fill = fillOf({ session });
		fleet.recordFill(box, {
			...fill,
			counters: {
				...fill.counters,
				toPlayers: played,
				playedFromDisk: played,
				toNeighbours: 7,
			},
		});
		await fleet.flush();
	};
	const sums = async () => {
		const [view] = await regions(database);
		const { toPlayers, playedFromDisk, toNeighbours } = view ?? {};
		return [toPlayers, playedFromDisk, toNeighbours];
	};
	await told(ann, "one", 100);
	await told(ann, "two", 50);
	await told(ben, "one", 3);
	t.same(await sums(), [153, 153, 21]);
	await rights.erase(ann);
	t.same(await sums(), [3, 3, 21]);
	await told(ann, "two", 60);
	t.same(await sums(), [13, 13, 21], "what is played from then on counts");
	await told(ann, "three", 1);
	t.same(await sums(), [14, 14, 28]);
});

t.test("a denial leaves no record", async (t) => {
	const { rights, box, records } = await open(t, { mode: "list" });
	t.match(await rights.decide(await box(), film), { kind: "denied" });
	t.same(await records(), []);
});

t.test("the callback is away", async (t) => {
	const { rights, box, time, database } = await open(t, {
		mode: "callback",
		// Nothing listens there.
		url: "http://127.0.0.1:1/",
	});
	const [ann, ben] = [await box(), await box()];
	t.match(await rights.decide(ann, film), { kind: "undecided" });
	await rights.rule(film.id, ben, "allow");
	t.match(await rights.decide(ben, film), { kind: "lease" }, "a rule does");
	await rights.rule(film.id, ben, undefined);
	await database.query("UPDATE leases SET allowed = $1", [time.now + HOUR]);
	t.same(await rights.decide(ben, film), {
		kind: "lease",
		until: time.now + HOUR,
	});
	time.now += HOUR;
	t.match(await rights.decide(ben, film), { kind: "undecided" });
});
