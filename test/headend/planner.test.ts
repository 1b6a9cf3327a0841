import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, SECOND } from "../../src/base/time.ts";
import {
	Planner,
	type PlannerOptions,
	type PlanOutcome,
} from "../../src/headend/fleet/planner.ts";
import { Purges } from "../../src/headend/fleet/purges.ts";
import { sha256, Wishes } from "../../src/headend/fleet/wishes.ts";
import type { PlannedTitle } from "../../src/plan/placement.ts";
import { unseal } from "../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import {
	holderTable,
	type Placement,
	placement,
	placementBody,
} from "../../src/wire/placement.ts";
import { decodeRanges } from "../../src/wire/ranges.ts";
import { type Bench, bench, fillOf, region, stateOf } from "./fixture.ts";

function title(name: string, shards: number): PlannedTitle {
	return {
		id: name.repeat(64) as TitleId,
		geometry: { size: shards * 1024, blockSize: 1024, shardBlocks: 1 },
	};
}

function planner(
	bench: Bench,
	titles: readonly PlannedTitle[],
	over: Partial<PlannerOptions> = {},
) {
	const sent: Placement[] = [];
	const made = new Planner({
		operator: bench.operator,
		fleet: bench.fleet,
		wishes: wishes(bench),
		titles: async () => titles,
		publishDesired: async (_box, bytes) => {
			const read = unseal(bytes, "placement", placement, bench.operator.trust);
			if (read.ok) sent.push(read.value);
		},
		log: silent,
		quiet: 1,
		...over,
	});
	return { planner: made, sent };
}

function wishes({ database }: Bench): Wishes {
	return new Wishes(database, region);
}

async function tableOf({ operator }: Bench, id: TitleId) {
	const bytes = await readFile(
		join(operator.dir, "origin", id, "holders", region),
	);
	const read = unseal(bytes, "placement", holderTable, operator.trust);
	return read.ok ? read.value : undefined;
}

function shardsOf({ body }: Placement): number {
	return "titles" in body
		? body.titles.flatMap(({ ranks }) =>
				ranks.flatMap(({ shards }) => decodeRanges(shards, 1e6)),
			).length
		: -1;
}

/** Resolves with the next plan. */
function planned(planner: Planner): Promise<PlanOutcome> {
	return new Promise((resolve) => {
		const stop = planner.onPlan((outcome) => {
			stop();
			resolve(outcome);
		});
	});
}

t.test("titles find their boxes", async (t) => {
	let now = 100 * DAY;
	const it = await bench(t, () => now);
	const film = title("f", 12);
	const shelf: PlannedTitle[] = [film];
	const join3: BoxId[] = [];
	for (let i = 0; i < 3; i++) join3.push(await it.box());
	const [a, b, c] = join3 as [BoxId, BoxId, BoxId];

	await t.test(
		"nobody has reported: nothing is told, nothing is written",
		async (t) => {
			const { planner: first, sent } = planner(it, shelf);
			await first.start();
			it.fleet.recordState(a, stateOf(a));
			await it.fleet.flush();
			t.match(await first.plan(), { boxes: 0, told: 0, tables: 0 });
			t.same(sent, []);
			t.notOk(
				(await readdir(join(it.operator.dir, "origin"))).includes(film.id),
			);
			await first.close();
		},
	);

	await t.test(
		"a box reports its room and is told what to hold; the table is there first",
		async (t) => {
			const tables: unknown[] = [];
			const { planner: first, sent } = planner(it, shelf, {
				now: () => now,
				publishDesired: async (_box, bytes) => {
					tables.push(await tableOf(it, film.id));
					const read = unseal(bytes, "placement", placement, it.operator.trust);
					if (read.ok) sent.push(read.value);
				},
			});
			await first.start();
			const next = planned(first);
			for (const box of [a, b]) it.fleet.recordFill(box, fillOf());
			t.match(await next, { boxes: 2, told: 2, tables: 1, missing: 12 });
			t.same(
				sent.map(({ epoch, rev }) => [epoch, rev]),
				[
					[1, now / 1000],
					[1, now / 1000],
				],
			);
			t.same(sent.map(shardsOf), [12, 12]);
			t.match(tables, [{ title: film.id, version: now / 1000 }, {}]);
			t.match(await first.plan(), { told: 0, tables: 0 }, "the same again");
			const grown = planned(first);
			it.fleet.recordFill(c, fillOf());
			t.match(await grown, { boxes: 3, told: 1, missing: 0 });
			t.equal(sent.at(-1)?.box, c);
			await first.close();
		},
	);

	await t.test(
		"a restart tells the same, and the broker can have it again",
		async (t) => {
			const { planner: again, sent } = planner(it, shelf);
			await rm(join(it.operator.dir, "origin", film.id), { recursive: true });
			await again.start();
			t.same(sent, []);
			t.equal(
				(await tableOf(it, film.id))?.boxes.length,
				3,
				"a lost table is put back",
			);
			const stands: BoxId[] = [];
			for await (const [box] of wishes(it).envelopes(1)) stands.push(box);
			t.same(new Set(stands), new Set([a, b, c]));
			await again.close();
		},
	);

	await t.test(
		"a title that is gone is taken off the boxes, with a higher rev even when the clock went back",
		async (t) => {
			now -= 50 * DAY;
			const { planner: next, sent } = planner(it, [], { now: () => now });
			await next.start();
			t.same(sent.map(shardsOf), [0, 0, 0]);
			for (const { rev } of sent) t.equal(rev, (100 * DAY) / 1000 + 1);
			await next.close();
		},
	);

	await t.test(
		"a refusal by the broker does not stop the others",
		async (t) => {
			const tried: BoxId[] = [];
			const { planner: next } = planner(it, shelf, {
				publishDesired: async (box) => {
					tried.push(box);
					throw new Error("refused");
				},
			});
			await next.start();
			t.equal(tried.length, 3);
			await next.close();
		},
	);

	await t.test(
		"killed after the database and before the origin: the next start catches up",
		async (t) => {
			const short = title("5", 2);
			const { planner: killed } = planner(it, [film, short]);
			await writeFile(join(it.operator.dir, "origin", short.id), "in the way");
			await t.rejects(killed.start(), { code: "ENOTDIR" });
			await killed.close();
			await rm(join(it.operator.dir, "origin", short.id));
			const { planner: next } = planner(it, [film, short]);
			await next.start();
			t.equal((await tableOf(it, short.id))?.shards.length, 2);
			for await (const [box, bytes] of wishes(it).envelopes(1)) {
				const read = unseal(bytes, "placement", placement, it.operator.trust);
				if (read.ok) t.equal(shardsOf(read.value), 14, box);
			}
			await next.close();
		},
	);

	await t.test("a new epoch tells everybody anew", async (t) => {
		const operator = { ...it.operator, epoch: 7 };
		const before = await wishes(it).told();
		const table = await tableOf(it, film.id);
		const { planner: next, sent } = planner({ ...it, operator }, shelf, {
			now: () => now,
		});
		await next.start();
		t.same(
			sent.map(({ epoch }) => epoch),
			[7, 7, 7],
		);
		for (const { box, rev } of sent)
			t.equal(rev, (before.get(box)?.rev ?? 0) + 1, "the clock went back");
		t.match(await tableOf(it, film.id), {
			epoch: 7,
			version: (table?.version ?? 0) + 1,
		});
		await next.close();
	});

	await t.test(
		"who follows something newer than it was told is told again, above that",
		async (t) => {
			const operator = { ...it.operator, epoch: 7 };
			const told = await wishes(it).told();
			const newest = Math.max(...[...told.values()].map(({ rev }) => rev));
			const { planner: next, sent } = planner({ ...it, operator }, shelf, {
				now: () => newest * SECOND,
			});
			const follows = (box: BoxId, epoch: number, rev: number) =>
				it.fleet.recordReported(box, {
					...{ session: "0".repeat(16), at: 1, epoch, rev, phase: "applied" },
				});
			follows(a, 1, newest + 500);
			follows(b, 7, told.get(b)?.rev ?? 0);
			follows(c, 9, newest + DAY / SECOND + 1);
			await next.start();
			t.match(sent, [{ box: a, epoch: 7, rev: newest + 501 }]);
			t.match(await next.plan(), { told: 0 });
			await next.close();
		},
	);

	await t.test(
		"a large body goes by way of the origin, and old ones are cleared away",
		async (t) => {
			const many = Array.from({ length: 1200 }, (_, i) => ({
				...film,
				id: i.toString(16).padStart(64, "0") as TitleId,
			}));
			await writeFile(join(it.operator.dir, "origin", "placement", "old"), "");
			const roomy = fillOf({ capacity: 1e9 });
			for (const box of [a, b, c]) it.fleet.recordFill(box, roomy);
			const { planner: next, sent } = planner(it, many);
			await next.start();
			t.equal(sent.length, 3);
			const names: string[] = [];
			for (const { body } of sent) {
				if (!("ref" in body)) throw new Error("inline");
				const bytes = await readFile(join(it.operator.dir, "origin", body.ref));
				t.equal(sha256(bytes), body.sha256);
				t.equal(bytes.byteLength, body.size);
				t.equal(
					placementBody.parse(JSON.parse(bytes.toString())).titles.length,
					1200,
				);
				names.push(body.sha256);
			}
			t.same(
				new Set(await readdir(join(it.operator.dir, "origin", "placement"))),
				new Set(names),
			);
			await next.close();
		},
	);
});

t.test("a title that is given back is where it was", async (t) => {
	const it = await bench(t);
	const purges = await Purges.open({
		database: it.database,
		vouched: () => new Set(),
	});
	const [film, other] = [title("f", 40), title("e", 40)];
	let shelf = [film, other];
	const { planner: live } = planner(it, [], {
		titles: async () => shelf.filter(({ id }) => !purges.has(id)),
	});
	await live.start();
	t.teardown(() => live.close());
	// One by one: a plan that grows is another than one made at once.
	for (let i = 0; i < 5; i++) {
		it.fleet.recordFill(await it.box(), fillOf());
		await it.fleet.flush();
		await live.plan();
	}
	const before = await tableOf(it, film.id);
	t.equal(before?.boxes.length, 5);
	await purges.order(film.id, undefined, "rights ended", 0);
	await live.plan();
	t.notOk((await wishes(it).tables()).has(film.id));
	await purges.countermand(film.id);
	await live.plan();
	t.same(await tableOf(it, film.id), before);

	await purges.order(film.id, undefined, "rights ended", 0);
	await live.plan();
	await purges.removed(film.id);
	shelf = [other];
	await live.plan();
	const { rows } = await it.database.query("SELECT title FROM holders");
	t.same(rows, [{ title: other.id }]);
});
