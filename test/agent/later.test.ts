import t from "tap";
import { Later } from "../../src/agent/later.ts";
import { HOUR, MINUTE } from "../../src/base/time.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const film = "a".repeat(64) as TitleId;
const other = "b".repeat(64) as TitleId;

function later(...draws: number[]) {
	const due: [TitleId, number][] = [];
	const waiting = new Map<number, () => void>();
	const it = new Later((...shard) => due.push(shard), {
		after(wait, work) {
			waiting.set(wait, work);
			return () => waiting.delete(wait);
		},
		random: () => draws.shift() ?? 0.5,
	});
	const pass = (wait: number) => waiting.get(wait)?.();
	return { it, due, waiting, pass };
}

t.test("each shard has a while of its own", async (t) => {
	const { it, due, waiting, pass } = later(0, 1);
	it.note(film, 0, true);
	it.note(film, 1, true);
	it.note(film, 0, true);
	t.same([...waiting.keys()], [30 * MINUTE, 6 * HOUR], "drawn once");
	t.notOk(it.isDue(film), "not even the manifest");
	pass(30 * MINUTE);
	t.same(due, [[film, 0]]);
	t.ok(it.isDue(film, 0));
	t.notOk(it.isDue(film, 1));
	t.ok(it.isDue(film));
	t.notOk(it.isDue(other));
	it.note(film, 0, true);
	t.ok(it.isDue(film, 0), "more of it came");
});

t.test("what goes waits again when it comes back", async (t) => {
	const { it, waiting, pass } = later();
	it.note(film, 0, true);
	const [wait = 0] = waiting.keys();
	pass(wait);
	it.note(film, 0, false);
	t.notOk(it.isDue(film, 0));
	t.notOk(it.isDue(film));
	it.note(film, 0, true);
	it.note(film, 0, false);
	t.equal(waiting.size, 0, "nothing waits for what is not here");
	it.note(film, 7, false);
});
