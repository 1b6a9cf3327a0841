import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Heads } from "../../src/control/heads.ts";
import { judgePurges, PURGES_A_DAY } from "../../src/control/purges.ts";
import type { Bans } from "../../src/wire/head.ts";
import type { TitleId } from "../../src/wire/ids.ts";
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
	const heads = new Heads(
		join(folder, "head.json"),
		identity,
		trust.now,
		silent,
	);
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
		await heads.close();
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
	const say = (...titles: TitleId[]) =>
		slugs(
			operator.parts(time.now, {
				revoke,
				purged: titles.map((title) => ({ title, at: time.now })),
			}),
		);
	const pass = (ms: number) => {
		time.now = time.latest = time.now + ms;
	};
	say(one);
	pass(5);
	t.same(say(one, two), []);
	t.same(
		[...heads.standing.purged],
		[
			[one, { at: NOW, since: NOW }],
			[two, { at: NOW + 5, since: NOW + 5 }],
		],
		"known by the date that it had first",
	);
	await heads.close();
	const again = open(t, operator, folder);
	await again.heads.load();
	t.same(again.heads.standing.purged, heads.standing.purged);
	pass(5);
	say(two);
	t.same([...heads.standing.purged.keys()], [two]);

	await t.test("more than the day's need the root", async (t) => {
		pass(DAY);
		const many = Array.from({ length: PURGES_A_DAY + 5 }, newTitle);
		t.same(say(two, ...many), ["too-many-purges"]);
		t.equal(heads.standing.purged.size, 1 + PURGES_A_DAY);
		const mandate = { version: 1, minimum: {}, purged: many };
		const { mandate: signed } = operator.parts(0, { mandate });
		t.same(heads.take({ mandate: signed }).refused, []);
		t.equal(heads.standing.purged.size, 1 + many.length);
	});
	await heads.close();
	await again.heads.close();
});

t.test(
	"what was refused does not count because its key is retired",
	async (t) => {
		const { operator, slugs, heads } = open(t);
		const revoke = serial(operator, "revoke", 1);
		slugs(operator.parts(NOW - 1, { revoke }));
		const purged = [
			...Array.from({ length: PURGES_A_DAY + 1 }, () => NOW),
			...Array.from({ length: 9 }, () => NOW - DAY),
		].map((at) => ({ title: newTitle(), at }));
		t.same(slugs(operator.parts(NOW, { revoke, purged })), ["too-many-purges"]);
		const mandate = { version: 1, minimum: { revoke: 2 }, purged: [] };
		const { mandate: signed } = operator.parts(0, { mandate });
		t.same(slugs({ mandate: signed }), []);
		t.equal(heads.standing.purged.size, PURGES_A_DAY);
		await heads.close();
	},
);

t.test("what who has the key can take back at once", async (t) => {
	/** Twenty a day, for a hundred days. */
	const flood = (from: number) =>
		Array.from({ length: 100 * PURGES_A_DAY }, (_, i) => ({
			title: newTitle(),
			at: from + Math.floor(i / PURGES_A_DAY) * DAY,
		}));
	const scene = (t: Test) => {
		const it = open(t);
		const revoke = serial(it.operator, "revoke", 1);
		const say = (
			version: number,
			purged: Bans["purged"] = [],
			issuedAt = version,
		) => it.slugs(it.operator.parts(version, { revoke, purged, issuedAt }));
		/** It believes its signer as a box does that has heard him every day. */
		say(NOW - DAY);
		const size = () => it.heads.standing.purged.size;
		t.teardown(() => it.heads.close());
		return { ...it, say, size };
	};
	t.test("dated ahead", async (t) => {
		const { say, size } = scene(t);
		t.same(say(NOW + DAY, flood(NOW)), ["too-many-purges"]);
		t.equal(size(), 2 * PURGES_A_DAY, "of this day, and of what is to come");
	});
	t.test("dated back, after a statement of long ago", async (t) => {
		const { say, size } = scene(t);
		say(NOW - 1, [], 0);
		t.same(say(NOW, flood(0)), ["too-many-purges"]);
		t.equal(size(), 0);
	});
	t.test("ahead while the time is not known", async (t) => {
		const { say, size, time } = scene(t);
		time.latest = Number.POSITIVE_INFINITY;
		const far = flood(NOW + 1);
		t.same(say(NOW + 100 * DAY, far), ["too-many-purges"]);
		t.equal(size(), PURGES_A_DAY, "no day has surely come");

		t.comment("then back, when the time says that this was of the future");
		time.latest = NOW;
		t.same(say(NOW, flood(0)), ["too-many-purges"]);
		t.equal(size(), 0);
	});
	t.test("in the place of what is known", async (t) => {
		const { say, size, heads, time } = scene(t);
		const today = (at: number) => flood(at).slice(0, PURGES_A_DAY);
		say(NOW, today(NOW));
		t.equal(size(), PURGES_A_DAY);
		const before = [...heads.standing.purged.keys()];
		const known = (at: number) => before.map((title) => ({ title, at }));
		let at = NOW;
		for (const [what, again] of Object.entries({
			"said after it": () => [...today(at), ...known(NOW)],
			"dated back": () => [...known(0), ...today(at)],
			"dated ahead": () => [...known(NOW + DAY), ...today(at)],
		})) {
			time.now = time.latest = at += 1;
			t.same(say(at, again()), ["too-many-purges"], what);
			t.same([...heads.standing.purged.keys()], before, what);
		}
	});
});

t.test("what an honest headend takes back is taken back", async (t) => {
	const { operator, slugs, heads, time } = open(t);
	const revoke = serial(operator, "revoke", 1);
	const purged: { title: TitleId; at: number }[] = [];
	const order = (at: number) =>
		purged.push(
			...Array.from({ length: PURGES_A_DAY }, () => ({
				title: newTitle(),
				at,
			})),
		);
	const say = (version: number) =>
		slugs(operator.parts(version, { revoke, purged }));
	say(NOW - DAY);
	for (let day = 0; day < 3; day++) {
		order(NOW + day * DAY);
		time.now = time.latest = NOW + day * DAY + 5;
		t.same(say(NOW + day * DAY), [], "each day a day's");
		t.same(say(NOW + day * DAY + 1), [], "and signed anew");
	}
	t.equal(heads.standing.purged.size, 3 * PURGES_A_DAY);

	await t.test("a box that was off hears of it late", async (t) => {
		const off = time.now;
		for (let day = 3; day < 8; day++) order(NOW + day * DAY);
		time.latest = Number.POSITIVE_INFINITY;
		t.same(say(NOW + 8 * DAY), ["too-many-purges"]);
		t.equal(heads.standing.purged.size, 4 * PURGES_A_DAY);
		t.same(heads.reconsider().news, false, "nor does it know the time yet");
		time.now = time.latest = off + 6 * DAY;
		t.same(heads.reconsider(), { news: true, refused: [] });
		t.equal(heads.standing.purged.size, 8 * PURGES_A_DAY);
		t.same(heads.reconsider(), { news: false, refused: [] });
	});

	await t.test("dated anew after a restore, it stays", async (t) => {
		const before = heads.standing.purged;
		const at = time.now;
		for (const [index, { title }] of purged.entries())
			if (index < PURGES_A_DAY) purged[index] = { title, at };
		order(at - 1);
		t.same(say(at), []);
		t.equal(heads.standing.purged.size, before.size + PURGES_A_DAY);
	});

	await t.test("so does what was ordered while a thief had the floor", (t) => {
		const at = time.now + 1;
		t.same(say(at + DAY / 2), []);
		time.now = time.latest = at + DAY;
		const title = newTitle();
		purged.push({ title, at: at + DAY / 2 - 1 });
		t.same(say(at + DAY), []);
		t.ok(heads.standing.purged.has(title));
		t.end();
	});
	await heads.close();
});

t.test("which purges are obeyed", async (t) => {
	const titles = Array.from({ length: 50 }, newTitle);
	const at = (when: number, from = 0, to = titles.length) =>
		titles.slice(from, to).map((title) => ({ title, at: when }));
	const cases: [
		what: string,
		known: number,
		said: Bans["purged"],
		after: number | undefined,
		vouched: number,
		obeyed: number,
	][] = [
		["a new box obeys all", 0, at(NOW + 9 * DAY), undefined, 0, 50],
		["twenty a day", 0, at(NOW), NOW - 1, 0, 20],
		["known ones count", 15, at(NOW), NOW - 1, 0, 20],
		["the root's do not", 0, at(NOW), NOW - 1, 30, 50],
		["nor by themselves", 0, at(NOW, 0, 5), 0, 30, 5],
		["none is backdated", 0, at(NOW - 2), NOW - 1, 0, 0],
		["nor postdated", 0, at(NOW + 1), NOW - 1, 0, 0],
		[
			"days that were missed have their own",
			0,
			[...at(NOW - DAY, 0, 25), ...at(NOW, 25)],
			NOW - 3 * DAY,
			0,
			40,
		],
		["none is left", 20, [], NOW - 1, 0, 0],
	];
	for (const [what, known, purged, after, vouched, obeyed] of cases) {
		const judged = judgePurges(
			new Map(
				titles.slice(0, known).map((title) => [title, { at: NOW, since: 7 }]),
			),
			{ version: NOW, purged },
			{ after, come: NOW, ran: NOW },
			new Set(titles.slice(0, vouched)),
		);
		t.equal(judged.purged.size, obeyed, what);
		t.equal(judged.excess.length, purged.length - obeyed, what);
		for (const title of titles.slice(0, Math.min(known, obeyed)))
			t.match(judged.purged.get(title), { since: 7 }, "since when stays");
	}
});
