import t from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Audit, HEADEND, reason } from "../../src/headend/audit.ts";
import { parseValue } from "../../src/wire/json.ts";
import { bench } from "./fixture.ts";

const ann = { name: "ann", address: "10.0.0.7" };

t.test("every change is recorded, then made, then judged", async (t) => {
	const { database } = await bench(t);
	let now = 1000;
	const audit = await Audit.open(database, silent, () => now);
	t.teardown(() => audit.close());
	let heard = 0;
	audit.onEntry(() => void heard++);

	const revoke = {
		action: "revoke",
		subject: "b".repeat(64),
		why: "stolen",
		request: "POST /api/revoke",
	} as const;
	const seen = await audit.carryOut(ann, revoke, () => audit.entries(10));
	t.match(
		seen,
		[{ who: "ann", outcome: null }],
		"it is on record before it is done",
	);
	now = 2000;
	await t.rejects(
		audit.carryOut(ann, { action: "plan" }, async () => {
			throw new LarderError("BROKER_FAILED", "away");
		}),
		{ code: "BROKER_FAILED" },
	);
	await t.rejects(
		audit.carryOut(ann, { action: "plan" }, async () => {
			throw new TypeError("a defect");
		}),
		/a defect/,
	);
	now = 3000;
	await audit.carryOut(
		ann,
		{ action: "command" },
		async () => ({ ok: false }),
		() => "COMMAND_FAILED",
	);
	await audit.note(HEADEND, { action: "key-deny" }, "TITLE_KEY_DENIED");
	t.equal(heard, 5);

	const all = await audit.entries(10);
	t.match(all, [
		{ who: "headend", address: null, action: "key-deny", outcome: "failed" },
		{ at: 3000, outcome: "failed", code: "COMMAND_FAILED" },
		{ at: 2000, outcome: "failed", code: "INTERNAL_FAULT" },
		{ at: 2000, outcome: "failed", code: "BROKER_FAILED" },
		{ ...revoke, at: 1000, who: "ann", address: "10.0.0.7", outcome: "done" },
	]);
	t.equal(all.length, 5);
	t.same(await audit.entries(2), all.slice(0, 2));
	t.same(await audit.entries(10, 3000), all.slice(0, 2));
	t.same(await audit.entries(10, 0, all[1]!.id), all.slice(2));

	await t.test("nobody rewrites it", async (t) => {
		for (const sql of [
			"UPDATE audit SET who = 'bob'",
			"UPDATE audit_outcomes SET outcome = 'done'",
		])
			await t.rejects(database.query(sql), /only added to/);
	});

	await t.test("after 400 days it is forgotten", async (t) => {
		now = 3000 + 400 * DAY;
		(await Audit.open(database, silent, () => now)).close();
		t.same(await audit.entries(10), all.slice(0, 2));
		const { rows } = await database.query("SELECT FROM audit_outcomes");
		t.equal(rows.length, 2);
	});

	await t.test("nothing is done that cannot be recorded", async (t) => {
		await database.query("ALTER TABLE audit RENAME TO lost");
		let done = false;
		await t.rejects(
			audit.carryOut(ann, revoke, async () => {
				done = true;
			}),
			{ code: "AUDIT_FAILED" },
		);
		t.equal(done, false);
		await database.query("ALTER TABLE lost RENAME TO audit");
	});

	await t.test("what is done and cannot be judged stays done", async (t) => {
		await database.query("ALTER TABLE audit_outcomes RENAME TO lost");
		t.equal(await audit.carryOut(ann, revoke, async () => "done"), "done");
		await database.query("ALTER TABLE lost RENAME TO audit_outcomes");
		t.match(await audit.entries(1), [{ action: "revoke", outcome: null }]);
	});
});

t.test("a reason is one line of text", async (t) => {
	const read = (text: string) => parseValue(reason, text);
	t.match(read("  stolen from the van "), {
		ok: true,
		value: "stolen from the van",
	});
	t.match(read("é".repeat(200)), { ok: true });
	for (const text of [
		"",
		"   ",
		"x".repeat(201),
		"a\nb",
		"\x1b[2J",
		"\u202eabc",
	])
		t.match(read(text), { ok: false }, JSON.stringify(text));
});
