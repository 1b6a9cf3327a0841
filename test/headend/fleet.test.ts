import { randomBytes } from "node:crypto";
import { cp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { DAY, HOUR } from "../../src/base/time.ts";
import { openDatabase } from "../../src/headend/fleet/database.ts";
import { boxes, regions, titleFills } from "../../src/headend/fleet/views.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { bench, fillOf, region, stateOf } from "./fixture.ts";

t.test("the fleet remembers the latest that each box said", async (t) => {
	let now = 10 * DAY;
	const { fleet, database, box } = await bench(t, () => now);
	const a = await box();
	const b = await box();
	const view = async (id: BoxId) => {
		await fleet.flush();
		return (await boxes(database)).find((row) => row.id === id);
	};
	const counters = fillOf().counters;

	await t.test("births, wills and late wills", async (t) => {
		fleet.recordState(a, stateOf(a, { session: "a".repeat(16) }));
		t.match(await view(a), { online: true, serial: "SN-0001", turnedAt: now });
		now += HOUR;
		fleet.recordState(
			a,
			stateOf(a, { session: "b".repeat(16), power: "standby" }),
		);
		fleet.recordState(
			a,
			stateOf(a, { session: "a".repeat(16), online: false }),
		);
		t.match(
			await view(a),
			{ online: true, power: "standby", turnedAt: 10 * DAY },
			"in one batch",
		);
		fleet.recordState(
			a,
			stateOf(a, { session: "a".repeat(16), online: false }),
		);
		t.match(await view(a), { online: true }, "in a batch of its own");
		fleet.recordState(
			a,
			stateOf(a, { session: "b".repeat(16), online: false }),
		);
		t.match(await view(a), { online: false, turnedAt: now });
	});

	await t.test("counters go on over a restart of the box", async (t) => {
		const fill = (session: string, fromNeighbours: number) =>
			fleet.recordFill(
				b,
				fillOf({
					session: session.repeat(16),
					counters: { ...counters, fromNeighbours },
				}),
			);
		fill("1", 100);
		t.match(await view(b), { fromNeighbours: 100 });
		fill("1", 150);
		t.match(await view(b), { fromNeighbours: 150 });
		fill("2", 7);
		t.match(await view(b), { fromNeighbours: 157 });
		fill("3", 1);
		t.match(await view(b), { fromNeighbours: 158 });
	});

	await t.test("how worn its flash is, as long as it says so", async (t) => {
		const wear = { used: 90, reserve: "warning" } as const;
		const said = { ...counters, fromNeighbours: 1 };
		const last = { session: "3".repeat(16), counters: said };
		fleet.recordFill(b, fillOf({ ...last, wear }));
		t.same((await view(b))?.wear, wear);
		fleet.recordFill(b, fillOf(last));
		t.equal((await view(b))?.wear, null);
	});

	await t.test("its room and its disk, and since when", async (t) => {
		const disk = { unreadable: 0, changed: 1, mended: 2, scrubbed: 3 };
		const last = {
			...{ session: "3".repeat(16), reservedSpace: 8, reserve: 9 },
			...{ counters: { ...counters, fromNeighbours: 1 } },
			written: { boot: 5, all: 6 },
		};
		const tell = async (
			state: "good" | "full" | "failing",
			missingBytes: number,
		) => {
			now += HOUR;
			const more = { disk: { state, ...disk }, missingBytes };
			fleet.recordFill(b, fillOf({ ...last, ...more }));
			return await view(b);
		};
		t.match(await tell("good", 0), {
			...{ reserved: 8, reserve: 9, missing: 0, missingAt: null },
			...{ written: { boot: 5, all: 6 }, disk: { state: "good", ...disk } },
			diskAt: now,
		});
		const full = await tell("full", 70);
		t.match(full, { missing: 70, missingAt: now, diskAt: now });
		t.match(await tell("full", 60), {
			...{ missing: 60, missingAt: now - HOUR, diskAt: now - HOUR },
			concerns: [{ kind: "disk-full", since: now - HOUR }],
		});
		t.match(await regions(database), [{ missing: 60, ailing: 1 }]);
		t.match(await tell("failing", 0), { missingAt: null, diskAt: now });
		const [older] = [fillOf({ session: "3".repeat(16) })];
		fleet.recordFill(b, { ...older, counters: last.counters });
		t.match(await view(b), { disk: null, missing: null, concerns: [] });
	});

	await t.test(
		"a stranger is dropped, and the others of its batch are kept",
		async (t) => {
			const stranger = randomBytes(32).toString("hex") as BoxId;
			fleet.recordFill(stranger, fillOf());
			fleet.recordState(stranger, stateOf(stranger));
			fleet.recordReported(b, {
				session: "1".repeat(16),
				at: 1,
				epoch: 1,
				rev: 4,
				phase: "short",
				code: "quota",
			});
			t.match(await view(b), { saidRev: 4, phase: "short", code: "quota" });
			t.equal(await view(stranger), undefined);
		},
	);

	await t.test("who has told nothing for a while", async (t) => {
		const { rows } = await database.query<{ session: string }>(
			"SELECT session FROM fills WHERE box = $1",
			[b],
		);
		const session = rows[0]?.session ?? "";
		fleet.recordState(b, stateOf(b, { session }));
		t.same(await fleet.silent(0, 5), [], "it told");
		t.same(await fleet.silent(now + 1, 5), [b], "not since; a is away");
		t.same(await fleet.silent(now + 1, 0), []);
		fleet.recordState(b, stateOf(b, { session: "9".repeat(16) }));
		t.same(await fleet.silent(0, 5), [b], "nothing in its new session");
		fleet.recordState(b, stateOf(b, { session }));
		fleet.recordState(a, stateOf(a));
		t.same(await fleet.silent(0, 5), [a], "nothing ever");
		fleet.recordState(a, stateOf(a, { online: false }));
	});

	await t.test("who can be planned with", async (t) => {
		fleet.recordState(b, stateOf(b));
		t.same(
			await fleet.planned(region, DAY),
			[
				{
					id: b,
					capacity: 900_000,
					presence: 1,
					reachable: true,
					leaving: false,
					draining: false,
				},
			],
			"a has not told its room yet",
		);
		fleet.recordFill(a, fillOf({ capacity: 50, streamingShare: 100 }));
		now += DAY + 1;
		const both = new Map(
			(await fleet.planned(region, DAY)).map((box) => [box.id, box]),
		);
		t.match(both.get(a), { capacity: 0, draining: true });
		t.match(both.get(b), { draining: false });
		now -= 9 * DAY;
		t.match(
			(await fleet.planned(region, DAY)).map(({ draining }) => draining),
			[false, false],
			"a clock that went back",
		);
		now += 9 * DAY;
		await fleet.countPresence();
		await fleet.countPresence();
		const later = new Map(
			(await fleet.planned(region, DAY)).map((box) => [box.id, box]),
		);
		t.equal(later.get(a)?.presence, 1 / 3);
		t.equal(later.get(b)?.presence, 1);
	});

	await t.test("a will does not know what the box found since", async (t) => {
		const reachable = async () =>
			(await fleet.planned(region, DAY)).find(({ id }) => id === b)?.reachable;
		fleet.recordState(b, stateOf(b, { reach: "none" }));
		t.equal(await reachable(), false);
		fleet.recordState(b, stateOf(b, { online: false, reach: "direct" }));
		t.equal(await reachable(), false);
		fleet.recordState(b, stateOf(b));
		t.equal(await reachable(), true);
	});

	await t.test("a household takes no part, or not for long", async (t) => {
		const planned = async () =>
			(await fleet.planned(region, DAY)).find(({ id }) => id === b);
		fleet.recordState(b, stateOf(b, { part: "draining" }));
		t.match(await planned(), {
			reachable: true,
			leaving: true,
			draining: true,
		});
		fleet.recordState(b, stateOf(b, { part: "out" }));
		t.match(await planned(), { reachable: false, leaving: false });
		fleet.recordState(b, stateOf(b, { online: false, part: "in" }));
		t.match(await planned(), { reachable: false }, "a will knows nothing new");
		fleet.recordState(b, stateOf(b, { part: "in" }));
		t.match(await planned(), { reachable: true, draining: false });
		fleet.recordState(b, stateOf(b));
		t.match(await planned(), { reachable: true }, "older boxes do");
	});

	await t.test("regions add up, titles count what is held", async (t) => {
		const title = "e".repeat(64) as TitleId;
		fleet.recordFill(
			a,
			fillOf({
				usedSpace: 5,
				placedBytes: 8,
				heldBytes: 4,
				titles: [{ id: title, placed: 2, held: 1, bytes: 9 }],
			}),
		);
		await fleet.flush();
		t.match(await regions(database), [
			{
				region,
				boxes: 2,
				online: 1,
				used: 5,
				placed: 8,
				held: 4,
				fromNeighbours: 158,
			},
		]);
		await database.query(
			"INSERT INTO holders VALUES ($1, $2, 1, 1, $3::jsonb, '[[0,1],[0],[1]]', 1, 4, '')",
			[region, title, JSON.stringify([a, b])],
		);
		t.same(await titleFills(database), [
			{ title, boxes: 2, fewest: 1, placed: 4, held: 1, short: 0 },
		]);
	});

	await t.test("bytes by level go on, too", async (t) => {
		const near = { fromLevel0: 3, fromLevel2: 5 };
		const fill = (session: string, counted: object) =>
			fleet.recordFill(
				b,
				fillOf({
					session: session.repeat(16),
					counters: { ...counters, ...counted },
				}),
			);
		t.match(await view(b), { near: [0, 0, 0, 0], levels: null });
		fill("4", near);
		t.match(await view(b), { near: [3, 0, 5, 0] });
		fill("5", { fromLevel0: 1 });
		t.match(await view(b), { near: [4, 0, 5, 0] });
		const [region] = await regions(database);
		t.match(region, { fromLevel0: 4, fromLevel1: 0, fromLevel2: 5 });
	});
	await t.test("a revoked box is out of plans", async (t) => {
		t.equal(
			await fleet.revoke(randomBytes(32).toString("hex") as BoxId),
			false,
		);
		t.equal(await fleet.revoke(b, "stolen"), true);
		t.equal(await fleet.revoke(b, "stolen again"), true);
		const shown = (await boxes(database)).find(({ id }) => id === b);
		t.match(shown, { revoked: true, revokedWhy: "stolen" });
		t.same(await fleet.revoked(), [b]);
		t.same(
			(await fleet.planned(region, DAY)).map(({ id }) => id),
			[a],
		);
	});

	await t.test("listeners hear of what can be read", async (t) => {
		const heard: BoxId[] = [];
		const stop = fleet.onChange((change) => heard.push(...change.boxes));
		fleet.recordFill(a, fillOf());
		await fleet.flush();
		t.same(heard, [a]);
		stop();
	});
});

t.test(
	"a database that is damaged, or newer than the program, is named",
	async (t) => {
		const dir = t.testdir();
		const whole = join(dir, "whole");
		const first = await openDatabase(whole);
		await first.query("UPDATE schema SET version = 999");
		const dump = await first.dump();
		await first.close();
		await t.rejects(openDatabase(whole), {
			code: "OPERATOR_INVALID",
			message: /999/,
		});
		await t.rejects(
			openDatabase(join(dir, "copy"), new Uint8Array(dump)),
			{ message: /999/ },
			"a dump holds all of it",
		);
		const torn = join(dir, "torn");
		await cp(whole, torn, { recursive: true });
		for (const name of await readdir(join(torn, "global")))
			await writeFile(join(torn, "global", name), "not a database");
		await t.rejects(openDatabase(torn), {
			code: "OPERATOR_INVALID",
			message: /torn/,
		});
	},
);
