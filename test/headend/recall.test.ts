import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import { PURGES_A_DAY } from "../../src/control/purges.ts";
import { Audit } from "../../src/headend/audit.ts";
import { Forgeries } from "../../src/headend/control/forgeries.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import {
	Recall,
	type RecallOptions,
} from "../../src/headend/control/recall.ts";
import { heardBelow } from "../../src/headend/fleet/bans.ts";
import { oldPapers } from "../../src/headend/fleet/inforce.ts";
import { Purges } from "../../src/headend/fleet/purges.ts";
import { retireKeys, rotateKey } from "../../src/headend/operator/rotate.ts";
import { type Signer, seal } from "../../src/wire/envelope.ts";
import { type Bans, type Head, head, isNewer } from "../../src/wire/head.ts";
import type { BoxId, Region, TitleId } from "../../src/wire/ids.ts";
import { encodeMessage, parseMessage } from "../../src/wire/json.ts";
import {
	Happenings,
	heard,
	newBox,
	newTitle,
	Operator,
} from "../control/operator.ts";
import { until } from "../fixture.ts";
import { bench, region } from "./fixture.ts";

t.setTimeout(120_000);

async function scene(t: Test) {
	const it = await bench(t);
	const { operator, database, fleet } = it;
	const audit = await Audit.open(database, silent);
	t.teardown(() => audit.close());
	const purges = await Purges.open({ database, vouched: () => new Set() });
	const heads = await HeadWriter.open(operator, silent);
	const known = new Set<BoxId>();
	const recalled: (readonly BoxId[])[] = [];
	const dropped: (readonly BoxId[])[] = [];
	const rivals = new Map<BoxId, BoxId>();
	const lines = new Happenings<string>();
	const log = heard(lines);
	/** The region hears what the database holds. */
	const speak = async () =>
		void (await heads.write({
			announcement: {
				catalog: { key: "0".repeat(64), length: 0 },
				policy: { shareTransient: "now" as const },
			},
			bans: { revoked: await fleet.revoked(), purged: purges.list },
		}));
	const forgeries = new Forgeries({
		...{ operator, log, pause: 1 },
		contradict: speak,
	});
	t.teardown(() => forgeries.close());
	const options: RecallOptions = {
		...{ ...it, audit, purges, heads, log },
		heardBelow: (serial) => heardBelow(database, serial),
		knows: (box) => known.has(box),
		rivals: async (box) => [rivals.get(box) ?? []].flat(),
		onRecalled: async (boxes) => void recalled.push(boxes),
		onDropped: async (boxes) => void dropped.push(boxes),
		onForged: (said, serial) => forgeries.note(said, serial),
	};
	const recall = new Recall(options);
	const hear = (said: Head) => {
		heads.heed(said);
		return recall.hear(said);
	};
	const box = async () => {
		const id = await it.box();
		known.add(id);
		return id;
	};
	const root = join(operator.dir, "keys", "root.json");
	/** Puts another key for bans in the place of the present one. */
	const rotate = async () => {
		await rotateKey(operator, "revoke", root);
		await operator.keyring.reread();
	};
	const retire = async () => {
		const sure = { force: true, countOld: async () => 0 };
		await retireKeys(operator, "revoke", root, sure);
		await operator.keyring.reread();
	};
	return {
		...{ ...it, audit, purges, heads, recall, recalled, dropped, rivals },
		...{ options, lines, forgeries, speak, hear, box, rotate, retire },
	};
}
type Scene = Awaited<ReturnType<typeof scene>>;

function sealed(
	{ network, signers }: Scene["operator"],
	over: Partial<Bans>,
	by: Signer = signers.revoke,
): Head {
	const bans = JSON.parse(
		seal(by, {
			...{ network, region, epoch: 1, version: 1, issuedAt: Date.now() },
			...{ revoked: [], purged: [] },
			...over,
		} satisfies Bans).toString(),
	);
	const read = parseMessage(head, encodeMessage({ bans }));
	if (!read.ok) throw new Error(read.detail);
	return read.value;
}

/** What who has stolen the key says: all are shut out, and as much is taken back as boxes obey. */
function theft(
	boxes: readonly BoxId[],
	over: Partial<Bans> = {},
): Partial<Bans> {
	const at = Date.now() - HOUR;
	const purged = Array.from({ length: PURGES_A_DAY }, () => ({
		...{ title: newTitle(), at },
	}));
	const version = Date.now() + HOUR;
	return { version, revoked: [...boxes], purged, ...over };
}

t.test("bans that the backup had not are taken up once", async (t) => {
	const { operator, hear, recalled, purges, fleet, audit, box } =
		await scene(t);
	const out = await box();
	const stranger = newBox();
	const title = newTitle();
	const at = Date.now() - 5 * DAY;
	const said = { revoked: [out, stranger], purged: [{ title, at }] };
	await hear(sealed(operator, said));
	t.same(await fleet.revoked(), [out]);
	t.same(purges.list, [{ title, at }], "as it was ordered");
	t.same(recalled, [[out]]);
	t.match(await audit.entries(10), [
		{ who: "headend", action: "purge", subject: title, outcome: "done" },
		{ who: "headend", action: "revoke", subject: out, outcome: "done" },
	]);
	await hear(sealed(operator, { ...said, version: 2 }));
	t.equal(recalled.length, 1, "nothing new");

	await t.test("what was given back here stays so", async (t) => {
		const other = newTitle();
		await purges.order(other, undefined, "why", 0);
		await purges.countermand(other);
		const before = Date.now() - DAY;
		const purged = [{ title: other, at: before }];
		await hear(sealed(operator, { purged, version: 3 }));
		t.notOk(purges.has(other));
		const later = [{ title: other, at: Date.now() + 1000 }];
		await hear(sealed(operator, { purged: later, version: 4 }));
		t.ok(purges.has(other), "unless it was taken back again after that");
		t.ok(await fleet.readmit(out));
		const revoked = [out];
		await hear(sealed(operator, { revoked, version: 5, issuedAt: before }));
		t.same(await fleet.revoked(), []);
		const issuedAt = Date.now() + 1000;
		await hear(sealed(operator, { revoked, version: 6, issuedAt }));
		t.same(await fleet.revoked(), [out]);
	});
});

t.test("only what the operator's key says of this region", async (t) => {
	const { operator, hear, recalled, purges } = await scene(t);
	const purged = [{ title: newTitle(), at: 1 }];
	const foreign = new Operator();
	await hear(foreign.parts(1, { region, purged }));
	await hear(sealed(operator, { purged, region: "south-1" as Region }));
	await hear({ announcement: sealed(operator, { purged }).bans });
	t.same(purges.list, []);
	t.same(recalled, []);
});

t.test("a headend that has spoken takes up nothing of a thief's", async (t) => {
	const it = await scene(t);
	const { operator, hear, recalled, fleet, purges, heads, lines } = it;
	const boxes = [await it.box(), await it.box(), await it.box()];
	const mine = newTitle();
	await purges.order(mine, undefined, "rights ended", 0);
	await it.speak();
	const before = heads.banned;
	const said = sealed(operator, theft(boxes));
	await hear(said);
	await lines.until((line) => line.startsWith("somebody else signs"));
	t.same(await fleet.shutOut(), []);
	t.same(recalled, []);
	t.same(
		purges.list.map(({ title }) => title),
		[mine],
	);
	const { serial } = operator.signers.revoke.granted;
	t.match(it.forgeries.latest, { serial, heardAt: Number });
	await until(() => isNewer(heads.banned!, readBans(said)));
	t.pass("it is contradicted");
	t.same(heads.banned?.revoked, []);
	t.same(heads.banned?.purged, before?.purged);

	await t.test("its own word is no theft", async (t) => {
		const from = lines.all.length;
		await hear(heads.head!);
		await hear(sealed(operator, { ...before!, version: before!.version - 1 }));
		t.same(lines.all.slice(from), []);
	});

	await t.test("of the same number, it is one", async (t) => {
		const { version } = heads.banned!;
		await hear(sealed(operator, theft(boxes, { version })));
		await until(() => heads.banned!.version > version);
		t.same(heads.banned?.revoked, []);
	});

	await t.test("once the key is retired, the alarm is over", async (t) => {
		await it.rotate();
		t.ok(it.forgeries.latest);
		await it.retire();
		t.equal(it.forgeries.latest, undefined);
	});
});

t.test("bans from before a restore that come late are told of", async (t) => {
	const it = await scene(t);
	const { hear, fleet, purges, lines } = it;
	const [box] = [await it.box(), await it.speak()];
	const { network, signers } = it.operator;
	const epoch = { network, signers } as Scene["operator"];
	await hear(sealed(epoch, { epoch: 0, revoked: [box] }));
	t.match(
		lines.all.filter((line) => line.startsWith("before the restore")),
		[/1 more boxes were shut out and 0 more titles/],
	);
	t.same(await fleet.shutOut(), []);
	t.same(purges.list, []);
});

t.test(
	"what a restored headend heard of a thief falls with the key",
	async (t) => {
		const it = await scene(t);
		const { operator, hear, fleet, purges, heads, recall, database } = it;
		const boxes = [await it.box(), await it.box(), await it.box()];
		const [one, two, three] = boxes as [BoxId, BoxId, BoxId];
		const thief = operator.signers.revoke;
		await fleet.revoke(three, "stolen");
		const forged = theft(boxes);
		await hear(sealed(operator, forged));
		t.same(await fleet.revoked(), boxes.toSorted());
		t.equal(purges.list.length, PURGES_A_DAY);
		await it.speak();

		// A person says two of them again.
		await fleet.revoke(two, "it is gone indeed");
		const [kept, gone] = forged.purged as Bans["purged"];
		await purges.order(kept!.title, undefined, "rights ended", 0);
		await purges.removed(gone!.title);

		await it.rotate();
		await it.speak();
		await recall.dropRetired();
		t.equal(purges.list.length, PURGES_A_DAY, "both keys count");
		const { revoke } = await oldPapers(operator, database);
		t.equal(revoke, 1 + PURGES_A_DAY - 1, "so much would be lost with the old");
		await it.retire();
		await recall.dropRetired();
		await it.speak();
		t.same(heads.banned?.revoked, [two, three].toSorted());
		t.same(heads.banned?.purged, [kept]);
		t.same(it.dropped, [[one]]);
		t.equal((await oldPapers(operator, database)).revoke, 0);
		t.match(await it.audit.entries(PURGES_A_DAY), [
			...Array.from({ length: PURGES_A_DAY - 1 }, () => ({
				action: "purge-undo",
			})),
			{ action: "revoke-undo", subject: one, outcome: "done" },
		]);
		await hear(sealed(operator, forged, thief));
		t.same(await fleet.revoked(), [two, three].toSorted(), "he is not heard");
		await recall.dropRetired();
		t.equal(it.dropped.length, 1, "nothing is left to drop");
	},
);

t.test("a box whose serial is another's by then stays out", async (t) => {
	const it = await scene(t);
	const box = await it.box();
	await it.hear(sealed(it.operator, { revoked: [box] }));
	it.rivals.set(box, newBox());
	await it.rotate();
	await it.retire();
	await it.recall.dropRetired();
	t.same(await it.fleet.shutOut(), [box]);
	t.same(it.dropped, [[]]);
	it.rivals.clear();
	await it.recall.dropRetired();
	t.same(await it.fleet.shutOut(), [box], "for good");
});

t.test("a database that was lost learns from the last head", async (t) => {
	const it = await scene(t);
	const { fleet, purges, recall, database } = it;
	const box = await it.box();
	const title: TitleId = newTitle();
	await fleet.revoke(box, "stolen");
	await purges.order(title, undefined, "rights ended", 0);
	await it.speak();
	await recall.relearn();
	t.same(it.recalled, [], "all of it is known");
	await database.query("DELETE FROM boxes");
	await database.query("DELETE FROM purges");
	const fresh = await Purges.open({ database, vouched: () => new Set() });
	t.same(fresh.list, []);
	const again = new Recall({ ...it.options, purges: fresh });
	await again.relearn();
	t.same(await fleet.shutOut(), [box]);
	t.same(fresh.list, purges.list);
	await it.rotate();
	await it.retire();
	await again.dropRetired();
	t.same(await fleet.shutOut(), [box], "it was not only heard of");
});

function readBans({ bans }: Head): Bans {
	return JSON.parse(Buffer.from(bans!.payload, "base64").toString());
}
