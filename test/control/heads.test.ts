import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Heads } from "../../src/control/heads.ts";
import { judgePurges, PURGES_A_DAY } from "../../src/control/purges.ts";
import type { Bans } from "../../src/wire/head.ts";
import type { NetworkId, TitleId } from "../../src/wire/ids.ts";
import { newBox, newTitle, Operator, REGION } from "./operator.ts";

const NOW = Date.UTC(2026, 0, 10, 12);

/** A box's heads by a clock of their own, and the slugs of what they refuse. */
function open(t: Test, operator = new Operator(), folder = t.testdir()) {
	const time = { now: NOW, latest: NOW };
	const trust = {
		...operator.trust,
		now: () => time.now,
		latest: () => time.latest,
		minimum: new Map(),
	};
	const identity = { box: newBox(), region: REGION, trust };
	const heads = new Heads(join(folder, "head.json"), identity, silent);
	t.teardown(() => heads.close());
	const slugs = (head: Parameters<Heads["take"]>[0]) =>
		heads.take(head).refused.map(({ slug }) => slug);
	return { operator, time, heads, slugs, folder };
}

const serial = (
	operator: Operator,
	purpose: "catalog" | "revoke",
	of: number,
) => operator.signer(purpose, NOW + 1000 * DAY, of);

t.test("each statement needs the key of its purpose", async (t) => {
	const { operator, slugs, heads } = open(t);
	const catalog = serial(operator, "catalog", 1);
	const revoke = serial(operator, "revoke", 1);
	const stolen = { ...operator.parts(1, { catalog, revoke }) };
	t.same(slugs({ bans: stolen.announcement }), ["wrong-purpose"]);
	t.same(slugs({ announcement: stolen.bans }), ["wrong-purpose"]);
	t.same(slugs({ mandate: stolen.bans?.grant }), ["bad-signature"]);
	const other = new Operator();
	const foreign = other.parts(1, {
		mandate: { version: 1, minimum: {}, purged: [] },
	});
	t.same(slugs(foreign), ["bad-signature", "bad-signature", "bad-signature"]);
	t.equal(heads.standing.announcement, undefined);
	t.equal(heads.head, undefined);
});

t.test("a known signature does not excuse what it is put under", async (t) => {
	const { operator, slugs, heads } = open(t);
	const head = operator.parts(1);
	t.same(slugs(head), []);
	t.same(slugs(head), [], "known");
	const { announcement, bans } = head;
	if (announcement === undefined || bans === undefined) throw new Error("");
	const { payload, grant } = bans;
	t.same(slugs({ announcement: { ...announcement, payload } }), [
		"bad-signature",
	]);
	t.same(slugs({ announcement: { ...announcement, grant } }), [
		"wrong-purpose",
	]);
	await heads.close();
});

t.test(
	"one that is far ahead does not shut out those that follow",
	async (t) => {
		const { operator, slugs, heads, time } = open(t);
		const keys = {
			catalog: serial(operator, "catalog", 1),
			revoke: serial(operator, "revoke", 1),
		};
		t.same(slugs(operator.parts(NOW, keys)), []);
		for (const forged of [
			operator.parts(Number.MAX_SAFE_INTEGER, keys),
			operator.parts(NOW + DAY + 1, keys),
		])
			t.same(slugs(forged), ["too-far-ahead", "too-far-ahead"]);
		t.same(slugs(operator.parts(NOW + 1, keys)), []);
		t.same(slugs(operator.parts(NOW, keys)), ["rollback", "rollback"]);

		await t.test("while nobody knows the time, any may come", async (t) => {
			time.latest = Number.POSITIVE_INFINITY;
			t.same(slugs(operator.parts(NOW + 900 * DAY, keys)), []);
			t.equal(heads.standing.announcement?.version, NOW + 900 * DAY);
			time.latest = NOW;
			t.equal(heads.head, undefined, "not passed on once the time is known");
			t.same(slugs(operator.parts(NOW + 2, keys)), [], "and no floor");
			t.equal(heads.standing.announcement?.version, NOW + 2);
		});
	},
);

t.test("a forged epoch stays ahead for no longer than a day", async (t) => {
	const { operator, slugs, heads, time } = open(t);
	const keys = {
		catalog: serial(operator, "catalog", 1),
		revoke: serial(operator, "revoke", 1),
	};
	slugs(operator.parts(NOW, keys));
	const forged = { ...keys, epoch: Number.MAX_SAFE_INTEGER };
	t.same(slugs(operator.parts(1, forged)), ["rollback", "rollback"]);
	t.same(slugs(operator.parts(NOW + DAY, forged)), []);
	t.same(slugs(operator.parts(NOW + 1, keys)), ["rollback", "rollback"]);
	time.now = time.latest = NOW + DAY + 1;
	t.same(slugs(operator.parts(NOW + DAY + 1, keys)), []);
	t.equal(heads.standing.announcement?.epoch, 1);
	const restored = { ...keys, epoch: 2 };
	t.same(slugs(operator.parts(NOW + DAY + 1, restored)), [], "it breaks ties");
	t.equal(heads.standing.announcement?.epoch, 2);
	await heads.close();
});

t.test("what a retired key signed loses its force", async (t) => {
	const { operator, slugs, heads, folder } = open(t);
	const old = {
		catalog: serial(operator, "catalog", 1),
		revoke: serial(operator, "revoke", 2),
	};
	const honest = newBox();
	t.same(slugs(operator.parts(NOW + DAY, { ...old, revoked: [honest] })), []);
	t.ok(heads.standing.revoked.has(honest));
	const mandate = {
		version: 1,
		minimum: { catalog: 7, revoke: 7 },
		purged: [],
	};
	const fresh = {
		catalog: serial(operator, "catalog", 7),
		revoke: serial(operator, "revoke", 8),
	};
	t.same(slugs(operator.parts(NOW + 1, { ...fresh, mandate })), []);
	t.notOk(heads.standing.revoked.has(honest), "though it is older");
	t.same(slugs(operator.parts(NOW + 2, old)), ["retired-key", "retired-key"]);
	const { mandate: older } = operator.parts(1, {
		mandate: { ...mandate, version: 0, minimum: {} },
	});
	t.same(slugs({ mandate: older }), ["rollback"]);

	await heads.close();
	const again = open(t, operator, folder);
	await again.heads.load();
	t.equal(again.heads.standing.announcement?.version, NOW + 1);
	t.same(again.slugs(operator.parts(NOW + 2, old)), [
		"retired-key",
		"retired-key",
	]);
	t.same(again.heads.head, heads.head, "a restart goes on");
});

t.test("purges are obeyed, countermanded and kept", async (t) => {
	const { operator, slugs, heads, time, folder } = open(t);
	const revoke = serial(operator, "revoke", 1);
	const [one, two] = [newTitle(), newTitle()];
	const say = (version: number, ...titles: TitleId[]) =>
		slugs(
			operator.parts(version, {
				revoke,
				issuedAt: time.now,
				purged: titles.map((title) => ({ title, at: time.now })),
			}),
		);
	say(1, one);
	time.now += 5;
	t.same(say(2, one, two), []);
	t.same(
		[...heads.standing.purged],
		[
			[one, NOW],
			[two, NOW + 5],
		],
	);
	await heads.close();
	const again = open(t, operator, folder);
	await again.heads.load();
	t.same(again.heads.standing.purged, heads.standing.purged);
	say(3, two);
	t.same([...heads.standing.purged], [[two, NOW + 5]]);

	await t.test("more than the day's need the root", async (t) => {
		time.now += DAY;
		const many = Array.from({ length: PURGES_A_DAY + 5 }, newTitle);
		t.same(say(4, two, ...many), ["too-many-purges"]);
		t.equal(
			heads.standing.purged.size,
			1 + PURGES_A_DAY - 1,
			"two counts, dated anew",
		);
		const mandate = { version: 1, minimum: {}, purged: many };
		const { mandate: signed } = operator.parts(0, { mandate });
		t.same(heads.take({ mandate: signed }).refused, []);
		t.equal(heads.standing.purged.size, 1 + many.length);
	});
});

t.test(
	"what was refused does not count because its key is retired",
	async (t) => {
		const { operator, slugs, heads } = open(t);
		const revoke = serial(operator, "revoke", 1);
		slugs(operator.parts(NOW, { revoke, issuedAt: NOW }));
		const purged = [
			...Array.from({ length: PURGES_A_DAY + 1 }, () => NOW + 1),
			...Array.from({ length: 9 }, () => NOW - DAY),
		].map((at) => ({ title: newTitle(), at }));
		const said = { revoke, purged, issuedAt: NOW + 1 };
		t.same(slugs(operator.parts(NOW + 1, said)), ["too-many-purges"]);
		const mandate = { version: 1, minimum: { revoke: 2 }, purged: [] };
		const { mandate: signed } = operator.parts(0, { mandate });
		t.same(slugs({ mandate: signed }), []);
		t.equal(heads.standing.purged.size, PURGES_A_DAY);
	},
);

t.test("which purges are obeyed", async (t) => {
	const titles = Array.from({ length: 50 }, newTitle);
	const bans = (issuedAt: number, purged: Bans["purged"]): Bans => ({
		network: "0".repeat(64) as NetworkId,
		region: REGION,
		epoch: 1,
		version: 1,
		issuedAt,
		revoked: [],
		purged,
	});
	const at = (when: number, from = 0, to = titles.length) =>
		titles.slice(from, to).map((title) => ({ title, at: when }));
	const cases: [
		what: string,
		known: number,
		next: Bans,
		before: Bans | undefined,
		vouched: number,
		obeyed: number,
	][] = [
		["a new box obeys all", 0, bans(NOW, at(NOW)), undefined, 0, 50],
		["twenty a day", 0, bans(NOW, at(NOW)), bans(NOW - 1, []), 0, 20],
		["known ones count", 15, bans(NOW, at(NOW)), bans(NOW - 1, []), 0, 20],
		["the root's do not", 0, bans(NOW, at(NOW)), bans(NOW - 1, []), 30, 50],
		["nor by themselves", 0, bans(NOW, at(NOW, 0, 5)), bans(0, []), 30, 5],
		["none is backdated", 0, bans(NOW, at(NOW - 2)), bans(NOW - 1, []), 0, 0],
		[
			"days that were missed have their own",
			0,
			bans(NOW, [...at(NOW - DAY, 0, 25), ...at(NOW, 25)]),
			bans(NOW - 3 * DAY, []),
			0,
			40,
		],
		["none is left", 20, bans(NOW, []), bans(NOW - 1, []), 0, 0],
	];
	for (const [what, known, next, before, vouched, obeyed] of cases) {
		const judged = judgePurges(
			new Map(titles.slice(0, known).map((title) => [title, 7])),
			next,
			before,
			new Set(titles.slice(0, vouched)),
			NOW,
		);
		t.equal(judged.purged.size, obeyed, what);
		t.equal(judged.excess.length, next.purged.length - obeyed, what);
		for (const title of titles.slice(0, Math.min(known, obeyed)))
			t.equal(judged.purged.get(title), 7, "since when stays");
	}
});
