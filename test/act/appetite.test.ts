import t from "tap";
import { Appetite } from "../../src/act/play/appetite.ts";
import { KiB, MiB } from "../../src/base/units.ts";

t.test("a read takes more and more at a time", async (t) => {
	const helping = new Appetite().begin();
	const taken = Array.from({ length: 6 }, () => helping.next() / KiB);
	t.same(taken, [64, 128, 256, 512, 1024, 1024]);
});

t.test("what all hold is bounded, and who ends gives back", async (t) => {
	const appetite = new Appetite();
	const all = Array.from({ length: 500 }, () => appetite.begin());
	const first = all[0]!;
	t.ok(first.next() * all.length <= 4 * MiB);
	for (const helping of all.slice(1)) helping.end();
	t.equal(appetite.share, MiB);
	for (let i = 0; i < 10; i++) first.next();
	t.equal(first.next(), MiB, "what was little grows again");
});
