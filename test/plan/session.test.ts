import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import {
	type Figures,
	type Piece,
	type PlayerWord,
	Session,
} from "../../src/plan/session.ts";
import { FAR } from "../../src/wire/near.ts";

const T0 = 1000 * SECOND;
const LENGTH = 6;

/** A read of one segment: its track and number, when it begins and ends in seconds, what the player says. */
type Line = readonly [
	track: number,
	segment: number,
	begins: number,
	ends: number,
	word?: Partial<PlayerWord>,
];

interface Case {
	readonly name: string;
	readonly lines: readonly Line[];
	readonly expected: Partial<Figures>;
	/** When it is looked at. */
	readonly at?: number;
}

const word = (said: Partial<PlayerWord>): PlayerWord => ({
	bs: false,
	...said,
});

/** Segments of six seconds and a megabyte, read in four pieces. */
function watch(lines: readonly Line[], at: number): Figures | undefined {
	const session = new Session(T0);
	type Event = { readonly at: number; readonly run: () => void };
	const events: Event[] = [];
	for (const line of lines) {
		const [track, segment, begins, ends, said] = line;
		const time = segment * LENGTH * SECOND;
		let read: ReturnType<Session["begin"]>;
		const spot = { track, time };
		const start = T0 + begins * SECOND;
		const each = ((ends - begins) * SECOND) / 4;
		events.push({
			at: start,
			run: () => {
				read = session.begin(spot, start, said && word(said));
			},
		});
		for (let i = 0; i < 4; i++) {
			const piece: Piece = {
				...{ asked: start + i * each, came: start + (i + 1) * each },
				...{ time, bytes: 250_000, from: "neighbours", level: FAR },
				miss: undefined,
			};
			events.push({ at: piece.came, run: () => session.got(read, piece) });
		}
		events.push({
			at: start + 4 * each,
			run: () => session.end(read, time + LENGTH * SECOND, start + 4 * each),
		});
	}
	for (const { run } of events.toSorted((a, b) => a.at - b.at)) run();
	return session.take(T0 + at * SECOND);
}

const smooth: readonly Line[] = [
	[0, 0, 0.1, 0.5],
	[0, 1, 0.5, 1],
	[0, 2, 1, 2],
	[0, 3, 6, 7],
	[0, 4, 12, 13],
];

const cases: readonly Case[] = [
	{
		name: "a film that runs",
		lines: smooth,
		expected: {
			...{ starts: [500], played: 30_000, stalls: 0, stalled: 0 },
			...{ seeks: 0, switches: 0, neighbours: 5_000_000 },
			bitrate: Math.round((5_000_000 * 8) / 30),
		},
	},
	{
		name: "who leaves early has not seen what was fetched ahead",
		lines: smooth,
		at: 10.5,
		expected: { played: 10_000 },
	},
	{
		name: "a segment that comes after its time is a stall, of as long as it was late",
		lines: [...smooth.slice(0, 3), [0, 3, 6, 20.5], [0, 4, 20.5, 21]],
		// Shown from 0.5 on, the fourth is due at 18.5.
		expected: { stalls: 1, stalled: 2000 },
	},
	{
		name: "two that come late in a row are two",
		lines: [...smooth.slice(0, 2), [0, 2, 1, 14.5], [0, 3, 14.5, 24.5]],
		expected: { stalls: 2, stalled: 2000 + 4000 },
	},
	{
		name: "sound and picture that are late together are one",
		lines: [
			[0, 0, 0, 0.5],
			[1, 0, 0, 0.5],
			[0, 1, 0.5, 9.5],
			[1, 1, 0.5, 9.5],
		],
		expected: {
			stalls: 1,
			stalled: 3000,
			seeks: 0,
			switches: 0,
			played: 12_000,
		},
	},
	{
		name: "a pause is none, and what was in the buffer is there after it",
		lines: [
			...smooth.slice(0, 3),
			// The buffer held twelve seconds when it asked last.
			[0, 3, 6, 7],
			[0, 4, 300, 308],
			[0, 5, 308, 312],
		],
		expected: { stalls: 0, stalled: 0, seeks: 0, played: 36_000 },
	},
	{
		name: "what comes slowly at the beginning is start-up, and no stall",
		lines: [
			[0, 0, 1, 9],
			[0, 1, 9, 14],
		],
		expected: { starts: [9000], stalls: 0 },
	},
	{
		name: "who winds seeks, and what is slow then is no stall",
		lines: [...smooth.slice(0, 3), [0, 50, 5, 8], [0, 51, 8, 9]],
		expected: { seeks: 1, stalls: 0, switches: 0, played: 30_000 },
	},
	{
		name: "sound that follows the picture to another place seeks no second time",
		lines: [
			[0, 0, 0, 0.5],
			[1, 0, 0, 0.5],
			[0, 50, 5, 6],
			[1, 49, 5.2, 6],
			[1, 50, 6, 7],
		],
		expected: { seeks: 1, switches: 0 },
	},
	{
		name: "back by a minute seeks, too",
		lines: [
			...Array.from({ length: 12 }, (_, i): Line => [0, i, i, i + 0.5]),
			[0, 3, 20, 21],
		],
		expected: { seeks: 1 },
	},
	{
		name: "another rendition that goes on is a switch",
		lines: [
			[0, 0, 0, 0.5],
			[2, 1, 0.5, 1],
			[2, 2, 1, 2],
			[0, 3, 6, 7],
		],
		expected: { switches: 2, seeks: 0, played: 24_000 },
	},
	{
		name: "so is one that has the last segment once more",
		lines: [...smooth, [2, 4, 18, 19], [2, 5, 19, 20]],
		expected: { switches: 1, seeks: 0, played: 36_000 },
	},
	{
		name: "a player that says what it has in its buffer is believed",
		lines: [
			[0, 0, 0, 0.5, { bl: 0, br: 4_000_000 }],
			[0, 1, 0.5, 1, { bl: 6000, br: 4_000_000 }],
			// Half speed: the model would have it run dry at 12.5.
			[0, 2, 10, 18, { bl: 9000, br: 4_000_000 }],
			[0, 3, 18, 19, { bl: 7000, br: 8_000_000 }],
		],
		expected: { stalls: 0, bitrate: 5_000_000 },
	},
	{
		name: "a stall that it tells counts, with the time that data was late",
		lines: [
			[0, 0, 0, 0.5, { bl: 0 }],
			[0, 1, 0.5, 1, { bl: 6000 }],
			// It stood still by itself for a while, and has nine seconds left.
			[0, 2, 10, 21, { bl: 9000 }],
			[0, 3, 21, 22, { bl: 6000, bs: true }],
		],
		expected: { stalls: 1, stalled: 2000 },
	},
	{
		name: "sound says nothing of the rendition",
		lines: [
			[0, 0, 0, 0.5, { bl: 0, br: 4_000_000, ot: "v" }],
			[1, 0, 0, 0.5, { bl: 0, br: 128_000, ot: "a" }],
		],
		expected: { bitrate: 4_000_000 },
	},
];

for (const { name, lines, expected, at = 600 } of cases)
	t.test(name, async (t) => t.match(watch(lines, at), expected));

t.test("a film in one long read", async (t) => {
	const session = new Session(T0);
	const read = session.begin({ track: 0, time: 0 }, T0, undefined);
	let came = T0;
	const give = (time: number, asked: number, at: number) => {
		came = T0 + at * SECOND;
		session.got(read, {
			...{ asked: T0 + asked * SECOND, came, time: time * SECOND },
			...{ bytes: 500_000, from: "disk", level: FAR, miss: undefined },
		});
	};
	for (let time = 1; time <= 10; time++) give(time, time / 10 - 0.1, time / 10);
	// Its buffer is full, and it stands still for five minutes.
	give(11, 300, 300.1);
	// From here on it shows what it had, nine seconds.
	give(12, 300.1, 308);
	give(13, 308, 317);
	const { starts, stalls, stalled, seeks, disk } = session.take(came) ?? {};
	t.same({ starts, seeks, disk }, { starts: [100], seeks: 0, disk: 6_500_000 });
	t.equal(stalls, 1);
	t.ok(stalled && stalled > 5 * SECOND && stalled < 7 * SECOND, `${stalled}`);
});

t.test("what is told counts once", async (t) => {
	const session = new Session(T0);
	const read = session.begin({ track: 0, time: 0 }, T0, undefined);
	session.end(read, 100 * SECOND, T0 + SECOND);
	session.missed("disk");
	t.match(session.take(T0 + 31 * SECOND), {
		...{ starts: [1000], played: 30_000, misses: { disk: 1 } },
	});
	t.match(session.take(T0 + 61 * SECOND), {
		...{ starts: [], played: 30_000, misses: {} },
	});
	t.match(session.take(T0 + 600 * SECOND), { played: 40_000 });
	t.equal(session.take(T0 + 700 * SECOND), undefined, "then nothing is news");
});

t.test("who reads a playlist and no more watches nothing", async (t) => {
	const session = new Session(T0);
	const read = session.begin({ track: undefined, time: 0 }, T0, undefined);
	session.end(read, undefined, T0 + SECOND);
	t.equal(session.take(T0 + 60 * SECOND), undefined);
});

t.test("what came from near counts by level", async (t) => {
	const session = new Session(T0);
	const read = session.begin({ track: 0, time: 0 }, T0, undefined);
	const give = (level: number, bytes: number) => {
		const times = { asked: T0, came: T0 + 1, time: SECOND };
		const from = { from: "neighbours", level, miss: undefined } as const;
		session.got(read, { ...times, bytes, ...from });
	};
	give(FAR, 5);
	give(2, 7);
	give(0, 11);
	give(2, 13);
	const figures = session.take(T0 + 1);
	t.same(figures?.near, [11, 0, 20]);
	t.equal(figures?.neighbours, 36);
	give(FAR, 5);
	t.notOk(session.take(T0 + 2)?.near, "nothing, where nobody is near");
});
