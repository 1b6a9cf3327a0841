import t from "tap";
import { Later } from "../../src/agent/later.ts";
import { HOUR, MINUTE } from "../../src/base/time.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const film = "a".repeat(64) as TitleId;
const other = "b".repeat(64) as TitleId;

function later(...draws: number[]) {
	const due: [TitleId, number][] = [];
	const clock = { now: 0 };
	const it = new Later((...shard) => due.push(shard), {
		now: () => clock.now,
		random: () => draws.shift() ?? 0.5,
	});
	const at = (now: number) => {
		clock.now = now;
		it.look();
		return due.splice(0);
	};
	return { it, at };
}

t.test("each shard has a while of its own", async (t) => {
	const { it, at } = later(0, 1);
	it.note(film, 0, true);
	it.note(film, 1, true);
	it.note(film, 0, true);
	t.same(at(29 * MINUTE), []);
	t.notOk(it.isDue(film), "not even the manifest");
	t.same(at(30 * MINUTE), [[film, 0]]);
	t.ok(it.isDue(film, 0));
	t.notOk(it.isDue(film, 1));
	t.ok(it.isDue(film));
	t.notOk(it.isDue(other));
	it.note(film, 0, true);
	t.ok(it.isDue(film, 0), "more of it came");
	t.same(at(6 * HOUR - MINUTE), [], "told of once");
	t.same(at(6 * HOUR), [[film, 1]]);
});

t.test("what goes waits again when it comes back", async (t) => {
	const { it, at } = later();
	it.note(film, 0, true);
	t.same(at(6 * HOUR), [[film, 0]]);
	it.note(film, 0, false);
	t.notOk(it.isDue(film, 0));
	t.notOk(it.isDue(film));
	it.note(film, 0, true);
	t.notOk(it.isDue(film, 0));
	it.note(film, 0, false);
	t.same(at(24 * HOUR), [], "nothing waits for what is not here");
	it.note(film, 7, false);
});

t.test("however much is here, one timer serves it", async (t) => {
	const timers = [
		t.capture(globalThis, "setTimeout", globalThis.setTimeout),
		t.capture(globalThis, "setInterval", globalThis.setInterval),
	];
	const { it, at } = later();
	for (let shard = 0; shard < 1000; shard++) it.note(film, shard, true);
	t.equal(at(6 * HOUR).length, 1000);
	t.equal(timers.flatMap((calls) => calls()).length, 1);
});
