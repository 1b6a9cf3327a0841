import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import { Playheads } from "../../src/plan/playhead.ts";

t.test(
	"what is read first is needed at once, the rest as it plays",
	async (t) => {
		const heads = new Playheads();
		const now = 1000 * SECOND;
		const first = heads.begin(0, now);
		t.equal(first.origin + 0, now);
		first.until = 4 * SECOND;
		const second = heads.begin(4 * SECOND, now + SECOND);
		t.equal(second.origin + 4 * SECOND, now + 4 * SECOND, "three seconds left");
		second.until = 8 * SECOND;
		const third = heads.begin(8 * SECOND, now + 2 * SECOND);
		t.equal(third.origin + 8 * SECOND, now + 8 * SECOND);
	},
);

t.test("who winds begins anew", async (t) => {
	const heads = new Playheads();
	const now = 1000 * SECOND;
	heads.begin(0, now).until = 4 * SECOND;
	const wound = heads.begin(60 * SECOND, now + SECOND);
	t.equal(wound.origin + 60 * SECOND, now + SECOND);
});

t.test("who comes late is believed to have stood still", async (t) => {
	const heads = new Playheads();
	const now = 1000 * SECOND;
	heads.begin(0, now).until = 4 * SECOND;
	const paused = heads.begin(4 * SECOND, now + 60 * SECOND);
	t.equal(paused.origin + 4 * SECOND, now + 60 * SECOND);
	paused.until = 8 * SECOND;
	const after = heads.begin(8 * SECOND, now + 60 * SECOND);
	t.equal(after.origin + 8 * SECOND, now + 64 * SECOND);
});

t.test("another rendition goes on where the last one ended", async (t) => {
	const heads = new Playheads();
	const now = 1000 * SECOND;
	heads.begin(0, now).until = 3.9 * SECOND;
	const switched = heads.begin(4 * SECOND, now);
	t.equal(switched.origin + 4 * SECOND, now + 4 * SECOND);
});

t.test("many places at once are not remembered without end", async (t) => {
	const heads = new Playheads();
	for (let i = 0; i < 100; i++) heads.begin(i * 10 * SECOND, 0);
	const oldest = heads.begin(0, SECOND);
	t.equal(oldest.origin, SECOND, "the first is forgotten");
	const newest = heads.begin(990 * SECOND, SECOND);
	t.equal(newest.origin, SECOND - 990 * SECOND);
});
