import { randomBytes } from "node:crypto";
import t from "tap";
import type { BoxId } from "../../src/wire/ids.ts";
import {
	FAR,
	type Groups,
	LEVELS,
	labelled,
	levelOf,
	tags,
	tagsOf,
} from "../../src/wire/near.ts";

const id = () => randomBytes(16).toString("hex");
const [street, other, node, city] = [id(), id(), id(), id()];
const [a, b, c] = ["a", "b", "c"].map((name) => name.repeat(64)) as [
	BoxId,
	BoxId,
	BoxId,
];

/** How far b finds a to be, in these groups. */
const seen = (mine: Groups, theirs: Groups) =>
	levelOf(tagsOf(mine, a, b), theirs, a, b);

t.test("the nearest level that both are in counts", async (t) => {
	const cases: [string, mine: Groups, theirs: Groups, level: number][] = [
		["one street", [street, node, city], [street, node, city], 0],
		["one node", [street, node, city], [other, node, city], 1],
		["one city", [street, node, city], [other, id(), city], 2],
		["nothing in common", [street, node], [other, id()], FAR],
		["one is in none", [], [street], FAR],
		["nor is the other", [street], [], FAR],
		["fewer levels than the other", [other, node], [street, node, city], 1],
		["the same id at another level", [street, node], [node, street], FAR],
	];
	for (const [what, mine, theirs, level] of cases)
		t.equal(seen(mine, theirs), level, what);
});

t.test("a later version may show more levels", async (t) => {
	const many = Array.from({ length: LEVELS + 2 }, id);
	const shown = [...tagsOf(many, a, b), "0".repeat(16), "1".repeat(16)];
	t.ok(tags.safeParse(shown).success);
	t.equal(levelOf(shown, many, a, b), 0);
});

t.test("who is not in a group learns nothing of it", async (t) => {
	const shownToB = tagsOf([street, node], a, b);
	const shownToC = tagsOf([street, node], a, c);
	t.ok(tags.safeParse(shownToB).success);
	t.ok(
		shownToB.every((tag) => !shownToC.includes(tag)),
		"two that compare what they saw cannot tell that it is of the same groups",
	);
	t.notMatch(shownToB.join(), street.slice(0, 8));
	t.equal(levelOf(shownToB, [street], b, a), FAR, "shown back, it is nothing");
	t.equal(levelOf(shownToB, [street], c, b), FAR, "nor for another box");
});

t.test("what is not by level came from far", async (t) => {
	t.same(labelled([5, 0, 2], 10), [
		...[
			["0", 5],
			["1", 0],
			["2", 2],
			["3", 0],
		],
		["far", 3],
	]);
	t.same(labelled([], 4).at(-1), ["far", 4]);
	t.same(labelled([9], 4).at(-1), ["far", 0], "a box that tells nonsense");
});
