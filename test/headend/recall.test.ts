import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { PURGES_A_DAY } from "../../src/control/purges.ts";
import { Audit } from "../../src/headend/audit.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { Recall } from "../../src/headend/control/recall.ts";
import { Purges } from "../../src/headend/fleet/purges.ts";
import { seal } from "../../src/wire/envelope.ts";
import { type Bans, type Head, head } from "../../src/wire/head.ts";
import type { BoxId, Region, TitleId } from "../../src/wire/ids.ts";
import { encodeMessage, parseMessage } from "../../src/wire/json.ts";
import { newBox, newTitle, Operator } from "../control/operator.ts";
import { bench, region } from "./fixture.ts";

t.setTimeout(120_000);

async function scene(t: Test) {
	const it = await bench(t);
	const audit = await Audit.open(it.database, silent);
	t.teardown(() => audit.close());
	const purges = await Purges.open({
		database: it.database,
		vouched: () => new Set(),
	});
	const heads = await HeadWriter.open(it.operator, silent);
	const known = new Set<BoxId>();
	const recalled: (readonly BoxId[])[] = [];
	const recall = new Recall({
		...{ ...it, audit, purges, heads, log: silent },
		knows: (box) => known.has(box),
		onRecalled: async (boxes) => void recalled.push(boxes),
	});
	const box = async () => {
		const id = await it.box();
		known.add(id);
		return id;
	};
	const content = (titles: Bans["purged"] = []) => ({
		announcement: {
			catalog: { key: "0".repeat(64), length: 0 },
			policy: { shareTransient: "now" as const },
		},
		bans: { revoked: [], purged: titles },
	});
	return { ...it, audit, purges, heads, recall, recalled, box, content };
}

function sealed(
	{ network, signers }: Awaited<ReturnType<typeof scene>>["operator"],
	over: Partial<Bans>,
): Head {
	const bans = JSON.parse(
		seal(signers.revoke, {
			...{ network, region, epoch: 1, version: 1, issuedAt: Date.now() },
			...{ revoked: [], purged: [] },
			...over,
		} satisfies Bans).toString(),
	);
	const read = parseMessage(head, encodeMessage({ bans }));
	if (!read.ok) throw new Error(read.detail);
	return read.value;
}

t.test("bans that the backup had not are taken up once", async (t) => {
	const { operator, recall, recalled, purges, fleet, audit, box } =
		await scene(t);
	const out = await box();
	const stranger = newBox();
	const title = newTitle();
	const at = Date.now() - 5 * DAY;
	const said = { revoked: [out, stranger], purged: [{ title, at }] };
	await recall.hear(sealed(operator, said));
	t.same(await fleet.revoked(), [out]);
	t.same(purges.list, [{ title, at }], "as it was ordered");
	t.same(recalled, [[out]]);
	t.match(await audit.entries(10), [
		{ who: "headend", action: "purge", subject: title, outcome: "done" },
		{ who: "headend", action: "revoke", subject: out, outcome: "done" },
	]);
	await recall.hear(sealed(operator, { ...said, version: 2 }));
	t.equal(recalled.length, 1, "nothing new");

	await t.test("what was given back here stays so", async (t) => {
		const other = newTitle();
		await purges.order(other, undefined, "why", 0);
		await purges.countermand(other);
		const before = Date.now() - DAY;
		const purged = [{ title: other, at: before }];
		await recall.hear(sealed(operator, { purged, version: 3 }));
		t.notOk(purges.has(other));
		const later = [{ title: other, at: Date.now() + 1000 }];
		await recall.hear(sealed(operator, { purged: later, version: 4 }));
		t.ok(purges.has(other), "unless it was taken back again after that");
	});
});

t.test("only what the operator's key says of this region", async (t) => {
	const { operator, recall, recalled, purges } = await scene(t);
	const purged = [{ title: newTitle(), at: 1 }];
	const foreign = new Operator();
	await recall.hear(foreign.parts(1, { region, purged }));
	await recall.hear(sealed(operator, { purged, region: "south-1" as Region }));
	await recall.hear({ announcement: sealed(operator, { purged }).bans });
	t.same(purges.list, []);
	t.same(recalled, []);
});

t.test("after bans of its own, what it takes up is dated anew", async (t) => {
	const { operator, recall, purges, heads, content } = await scene(t);
	await heads.write(content());
	const signed = heads.banned?.version ?? 0;
	const titles = Array.from({ length: PURGES_A_DAY + 5 }, newTitle);
	const purged = titles.map((title: TitleId, i) => ({
		title,
		at: signed - (30 - i) * DAY,
	}));
	await recall.hear(sealed(operator, { epoch: 2, version: 1, purged }));
	t.equal(purges.list.length, PURGES_A_DAY, "no more than boxes obey");
	t.ok(purges.list.every(({ at }) => at >= signed));
	await heads.write(content(purges.list));
	t.equal(heads.banned?.purged.length, PURGES_A_DAY);
});
