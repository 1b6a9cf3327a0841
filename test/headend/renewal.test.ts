import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { oldMembers, oldPapers } from "../../src/headend/fleet/inforce.ts";
import { Planner } from "../../src/headend/fleet/planner.ts";
import { Renewal } from "../../src/headend/fleet/renewal.ts";
import { Wishes } from "../../src/headend/fleet/wishes.ts";
import { rotateKey } from "../../src/headend/operator/rotate.ts";
import { trustIn, unseal } from "../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import {
	holderTable,
	type Placement,
	placement,
} from "../../src/wire/placement.ts";
import { bench, fillOf, region, stateOf } from "./fixture.ts";

t.test("what is in force is signed anew, and says the same", async (t) => {
	const it = await bench(t);
	const { operator, database, fleet } = it;
	const root = join(operator.dir, "keys/root.json");
	// More boxes than are dealt with at a time.
	for (let i = 0; i < 60; i++) {
		const box = await it.box();
		fleet.recordState(box, stateOf(box));
		fleet.recordFill(box, fillOf());
	}
	await fleet.flush();
	const film = {
		id: "f".repeat(64) as TitleId,
		geometry: { size: 120 * 1024, blockSize: 1024, shardBlocks: 1 },
	};
	const wishes = new Wishes(database, region);
	let sent: Placement[] = [];
	/** A box that believes the present key only. */
	const strict = () => {
		const trust = trustIn(operator.rootKey, Date.now);
		const { serial } = operator.signers.placement.granted;
		trust.minimum.set("placement", serial);
		return trust;
	};
	const publishDesired = async (_: unknown, bytes: Buffer) => {
		const read = unseal(bytes, "placement", placement, strict());
		if (read.ok) sent.push(read.value);
		else t.fail(read.reason);
	};
	const lines: object[] = [];
	const log = { ...silent, info: (fields: object) => void lines.push(fields) };
	const titles = async () => [film];
	const called: BoxId[] = [];
	const options = {
		...{ operator, fleet, wishes, publishDesired, titles, log },
		oldMembers: () => oldMembers(operator, database),
		callIn: async (box: BoxId) => {
			called.push(box);
			if (called.length === 7) throw new Error("the broker is away");
		},
	};
	const planner = new Planner(options);
	await planner.plan();
	t.equal(sent.length, 60);
	const before = new Map(sent.map((each) => [each.box, each]));
	const heads = await HeadWriter.open(operator, silent);
	const say = () =>
		heads.write({
			announcement: {
				catalog: { key: "a".repeat(64), length: 1 },
				policy: { shareTransient: "now" },
			},
			bans: { revoked: [], purged: [] },
		});
	await say();
	const nothing = { issuer: 0, catalog: 0, placement: 0, revoke: 0 };
	t.same(await oldPapers(operator, database), nothing);

	const renewal = new Renewal({ ...options, planner, pause: 1 });
	t.teardown(() => renewal.close());
	renewal.begin();
	await renewal.idle;
	t.equal(sent.length, 60, "nothing to do");

	for (const purpose of ["placement", "catalog", "revoke", "issuer"] as const)
		await rotateKey(operator, purpose, root);
	await operator.keyring.reread();
	t.same(await oldPapers(operator, database), {
		issuer: 60,
		catalog: 1,
		placement: 61,
		revoke: 1,
	});
	sent = [];
	lines.length = 0;
	renewal.begin();
	t.ok(await say());
	// A plan in between has nothing to say: nothing has changed.
	t.match(await planner.plan(), { told: 0, tables: 0 });
	await renewal.idle;
	t.same(await oldPapers(operator, database), { ...nothing, issuer: 60 });
	t.same(
		lines.filter((line) => "done" in line),
		[
			{ done: 51 },
			{ done: 61 },
			{ done: 61, serial: operator.signers.placement.granted.serial },
		],
		"some at a time",
	);
	t.equal(sent.length, 60);
	for (const each of sent) {
		const { rev, ...rest } = each;
		const last = before.get(each.box);
		t.ok(rev > (last?.rev ?? 0));
		t.same({ ...rest, rev: last?.rev }, last, "the same titles and shards");
	}
	const path = join(operator.dir, "origin", film.id, "holders", region);
	t.ok(unseal(await readFile(path), "placement", holderTable, strict()).ok);

	sent = [];
	renewal.begin();
	await renewal.idle;
	t.same(sent, [], "once");
	t.match(await planner.plan(), { told: 0, tables: 0 });

	await t.test("and told again when keys were retired", async (t) => {
		renewal.tellAgain();
		await renewal.idle;
		t.equal(sent.length, 60);
	});

	await t.test("and boxes are called for memberships", async (t) => {
		renewal.callIn();
		await renewal.idle;
		t.same(new Set(called), new Set(before.keys()));
	});

	await t.test("a box that is shut out does not count", async (t) => {
		const [box] = before.keys();
		if (box !== undefined) await fleet.revoke(box);
		t.equal((await oldPapers(operator, database)).issuer, 59);
	});

	await t.test("it ends with the headend", async () => {
		await rotateKey(operator, "placement", root);
		await operator.keyring.reread();
		const slow = new Renewal({ ...options, planner, pause: 1e9 });
		slow.begin();
		await slow.close();
	});
});
