import t from "tap";
import { readWord } from "../../src/gateway/cmcd.ts";
import type { PlayerWord } from "../../src/plan/session.ts";

const at = (said: string) =>
	readWord(`/titles/x/a.m4s?CMCD=${encodeURIComponent(said)}`, {});

const good: readonly [string, PlayerWord][] = [
	[
		'br=3200,bs,d=4004,mtp=25400,ot=v,rtp=15000,sid="6e2fb550-c457",tb=6000',
		{ bs: true, br: 3_200_000, ot: "v", sid: "6e2fb550-c457" },
	],
	['bl=21300,nor="..%2F300kbps%2Ftrack.m4v",su', { bs: false, bl: 21_300 }],
	['cid="a,b=\\"c\\"",pr=1.08,sf=h,st=v,v=1', { bs: false }],
	['com.example-mine="x, y",sid="s"', { bs: false, sid: "s" }],
	["bs=false,su", { bs: false }],
	["bl=999999999999", { bs: false, bl: 3_600_000 }],
];
for (const [said, word] of good)
	t.test(said, async (t) => t.same(at(said), word));

const bad: readonly string[] = [
	...["", ",", "bl=1,", ",bl=1", "bl=1,,br=2", "bl", "bl=", "bl=-1", "bl=1.5"],
	...["bl=1e9", "bl=0x10", "bl=1,bl=2", "br=(1;2)", "bs=1", "ot=x", "v=2"],
	...[
		"sid=s",
		'sid="s',
		'sid="s"x',
		'sid="s" bl=1',
		"unknown=1",
		"__proto__=1",
	],
	...[`sid="${"s".repeat(65)}"`, `nor="${"s".repeat(5000)}"`],
	Array.from({ length: 65 }, (_, i) => `x-${i}=1`).join(","),
];
for (const said of bad)
	t.test(`not ${said.slice(0, 40)}`, async (t) => t.equal(at(said), "bad"));

t.test("where it stands", async (t) => {
	t.equal(readWord("/titles/x/a.m4s", {}), undefined);
	t.equal(readWord("/titles/x/a.m4s?x=CMCD%3Dbl", {}), undefined);
	t.equal(readWord("/a?CMCD=%E0%A4%A", {}), "bad");
	t.same(readWord("/a?x=1&CMCD=bl%3D1&y=2#z", {}), { bs: false, bl: 1 });
	const headers = {
		"cmcd-object": "br=3200,ot=v",
		"cmcd-request": "bl=21300,su",
		"cmcd-session": 'sid="a"',
		"cmcd-status": "bs",
	};
	t.same(readWord("/a", headers), {
		...{ bs: true, br: 3_200_000, bl: 21_300, ot: "v", sid: "a" },
	});
	t.same(readWord("/a?CMCD=bs", headers), { bs: true }, "one way only");
});

t.test("what is long or odd is read in a moment", async (t) => {
	for (const said of [
		'"'.repeat(4000),
		'\\"'.repeat(2000),
		"a=".repeat(2000),
		`sid="${"\\".repeat(4000)}`,
		" ".repeat(4000),
	])
		t.equal(at(said), "bad");
});
