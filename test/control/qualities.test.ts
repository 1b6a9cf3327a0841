import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import { Qualities } from "../../src/control/qualities.ts";
import { coalesce } from "../../src/plan/coalesce.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { encodeMessage, parseMessage } from "../../src/wire/json.ts";
import {
	MAX_QUALITY,
	MISSES,
	MOST_STARTS,
	MOST_WATCHED,
	type Quality,
	quality,
	type Watched,
} from "../../src/wire/quality.ts";
import { until } from "../fixture.ts";

const titleOf = (n: number) => n.toString(16).padStart(64, "0") as TitleId;

function watched(said: Partial<Watched> = {}): Watched {
	return {
		...{ id: "0123456789abcdef", title: titleOf(0), starts: [400] },
		...{ played: 1000, stalls: 1, stalled: 10, seeks: 1, switches: 1 },
		...{ bitrate: 4_000_000, disk: 1, neighbours: 2, origin: 3 },
		misses: { disk: 1 },
		...said,
	};
}

t.test("sessions stay apart while they are few", async (t) => {
	let waiting: readonly Watched[] = [];
	for (let i = 0; i < MOST_WATCHED; i++)
		waiting = coalesce(waiting, watched({ stalls: i }));
	t.equal(waiting.length, MOST_WATCHED);
	const more = coalesce(
		waiting,
		watched({ played: 3000, bitrate: 8_000_000, misses: { "too-slow": 2 } }),
	);
	t.equal(more.length, MOST_WATCHED);
	t.match(more[0], {
		...{ starts: [400, 400], played: 4000, stalls: 1, stalled: 20 },
		...{ bitrate: 7_000_000, disk: 2, neighbours: 4, origin: 6 },
		misses: { disk: 1, "too-slow": 2 },
	});
	for (let i = 0; i < 1000; i++) waiting = coalesce(waiting, watched());
	t.ok(waiting.every(({ starts }) => starts.length <= MOST_STARTS));
});

t.test(
	"of many titles two of one become one, else the oldest goes",
	async (t) => {
		let waiting: readonly Watched[] = [watched({ title: titleOf(1) })];
		for (let i = 1; i < MOST_WATCHED; i++)
			waiting = coalesce(waiting, watched({ title: titleOf(i) }));
		waiting = coalesce(waiting, watched({ title: titleOf(100) }));
		t.equal(waiting.length, MOST_WATCHED);
		t.match(
			waiting.find(({ title }) => title === titleOf(1)),
			{ played: 2000 },
		);
		waiting = coalesce(waiting, watched({ title: titleOf(101) }));
		t.equal(waiting.length, MOST_WATCHED);
		t.equal(waiting.at(-1)?.title, titleOf(101));
		t.notOk(waiting.some(({ title }) => title === titleOf(2)));
	},
);

t.test("the longest report is read by who gets it", async (t) => {
	const most = watched({
		...{ starts: new Array(MOST_STARTS).fill(359_999_999) },
		...{ played: 359_999_999, stalled: 359_999_999, bitrate: 1e10 },
		...{ disk: 2 ** 44, neighbours: 2 ** 44, origin: 2 ** 44 },
		misses: Object.fromEntries(MISSES.map((cause) => [cause, 1_000_000])),
	});
	const said = { watched: new Array(MOST_WATCHED).fill(most) };
	const bytes = encodeMessage(said);
	t.ok(bytes.length <= MAX_QUALITY, `${bytes.length}`);
	t.same(parseMessage(quality, bytes, MAX_QUALITY), { ok: true, value: said });
	const newer = { ...most, level: [1], misses: { "lost-in-space": 1 } };
	t.ok(parseMessage(quality, encodeMessage({ watched: [newer] })).ok);
});

t.test("it waits for the broker, under a new id each time", async (t) => {
	const said: Quality[] = [];
	const session = { connected: false };
	const qualities = new Qualities(
		session,
		{ quality: (it) => said.push(it) },
		{ spread: SECOND / 20 },
	);
	t.teardown(() => qualities.close());
	const { id: _, ...figures } = watched();
	qualities.add(figures);
	qualities.add(figures);
	session.connected = true;
	await until(() => said.length === 1);
	qualities.add(figures);
	await until(() => said.length === 2);
	const all = said.flatMap((each) => each.watched);
	t.equal(all.length, 3);
	t.equal(new Set(all.map(({ id }) => id)).size, 3);
});
