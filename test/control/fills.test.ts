import t from "tap";
import { Fills, isWorthTelling, type Levels } from "../../src/control/fills.ts";
import { Happenings, newTitle } from "./operator.ts";
import { levels } from "./rig.ts";

t.test("a change worth telling", async (t) => {
	const id = newTitle();
	const title = (held: number) => ({
		titles: [{ id, placed: 4, held, bytes: held }],
	});
	const before = levels(500, title(1));
	t.notOk(isWorthTelling(before, levels(510, title(1))), "one hundredth");
	t.ok(isWorthTelling(before, levels(511, title(1))));
	t.ok(isWorthTelling(before, levels(489, title(1))));
	t.ok(isWorthTelling(before, levels(500, title(2))), "a shard more");
	t.ok(isWorthTelling(before, levels(500)), "a title less");
	t.ok(isWorthTelling(levels(500), before), "a title more");
	t.ok(isWorthTelling(before, levels(500, { ...title(1), capacity: 900 })));
	t.notOk(isWorthTelling(before, levels(500, { ...title(1), neighbours: 9 })));
});

t.test(
	"sent at first, on a change, as a heartbeat and on demand",
	async (t) => {
		const sent = new Happenings<Levels>();
		const quiet = new Fills(sent.add, { heartbeat: 1e9, minInterval: 20 });
		t.teardown(() => quiet.close());
		const keepAlive = setInterval(() => undefined, 1000);
		t.teardown(() => clearInterval(keepAlive));
		quiet.flush();
		t.same(sent.all, [], "nothing is known yet");
		quiet.set(levels(0));
		await sent.until(({ usedSpace }) => usedSpace === 0);
		for (let used = 1; used <= 400; used++) quiet.set(levels(used));
		await sent.until(({ usedSpace }) => usedSpace === 400);
		t.equal(sent.all.length, 2, "the latest replaces what came before it");
		quiet.set(levels(405));
		quiet.flush();
		t.equal(sent.all.at(-1)?.usedSpace, 405);

		const beats = new Happenings<Levels>();
		const beating = new Fills(beats.add, { heartbeat: 10, minInterval: 5 });
		t.teardown(() => beating.close());
		beating.set(levels(7));
		await beats.until(() => beats.all.length === 3);
		t.ok(beats.all.every(({ usedSpace }) => usedSpace === 7));
	},
);
