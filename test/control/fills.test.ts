import t from "tap";
import { Fills, isWorthTelling, type Levels } from "../../src/control/fills.ts";
import { Happenings, newTitle } from "./operator.ts";
import { levels } from "./rig.ts";

const film = newTitle();
const other = newTitle();

/** Levels of a box that holds some of the shards of each title, of ten bytes each. */
function filling(
	placed: Readonly<Record<string, readonly [placed: number, held: number]>>,
	changes: Partial<Levels> = {},
): Levels {
	const titles = Object.entries(placed).map(([id, [placed, held]]) => ({
		...{ id: id as typeof film, placed, held },
		bytes: held * 10,
	}));
	const sum = (of: "placed" | "held") =>
		titles.reduce((sum, title) => sum + title[of], 0);
	return levels(0, {
		capacity: 1_000_000,
		usedSpace: sum("held") * 10,
		placedBytes: sum("placed") * 10,
		heldBytes: sum("held") * 10,
		shards: { placed: sum("placed"), held: sum("held") },
		titles,
		...changes,
	});
}

const half = filling({ [film]: [1000, 500] });
const nearly = filling({ [film]: [1000, 990], [other]: [10, 10] });

const cases: readonly [
	what: string,
	before: Levels,
	after: Levels,
	told: boolean,
][] = [
	["nothing", half, half, false],
	["a neighbour", half, { ...half, neighbours: 9 }, false],
	[
		"a disk in trouble",
		half,
		{
			...half,
			disk: {
				state: "full",
				unreadable: 0,
				changed: 0,
				mended: 0,
				scrubbed: 0,
			},
		},
		true,
	],
	["what has no room", half, { ...half, missingBytes: 1 }, true],
	["capacity", half, { ...half, capacity: 999_999 }, true],
	[
		"no capacity at all",
		levels(0, { capacity: 0 }),
		levels(0, { capacity: 0 }),
		false,
	],
	["less than 1 % of the capacity", levels(500), levels(509), false],
	["1 % of the capacity more", levels(500), levels(510), true],
	["1 % of the capacity less", levels(500), levels(490), true],
	["a shard of a thousand", half, filling({ [film]: [1000, 501] }), false],
	["9 shards of a thousand", half, filling({ [film]: [1000, 509] }), false],
	["1 % of what is placed", half, filling({ [film]: [1000, 510] }), true],
	["1 % of it lost", half, filling({ [film]: [1000, 490] }), true],
	["placed bytes", half, { ...half, placedBytes: half.placedBytes + 1 }, true],
	[
		"a title came",
		half,
		filling({ [film]: [1000, 500], [other]: [0, 0] }),
		true,
	],
	["a title went", filling({ [film]: [0, 0] }), filling({}), true],
	[
		"one title for another",
		filling({ [film]: [10, 1] }),
		filling({ [other]: [10, 1] }),
		true,
	],
	[
		"placed shards of a title, the sum being the same",
		filling({ [film]: [1000, 500], [other]: [10, 9] }),
		filling({ [film]: [999, 500], [other]: [11, 9] }),
		true,
	],
	[
		"the last shard of all",
		filling({ [film]: [1000, 999] }),
		filling({ [film]: [1000, 1000] }),
		true,
	],
	[
		"one of all is lost",
		filling({ [film]: [1000, 1000] }),
		filling({ [film]: [1000, 999] }),
		true,
	],
	[
		"the last shard of a title",
		filling({ [film]: [1000, 500], [other]: [10, 9] }),
		filling({ [film]: [1000, 500], [other]: [10, 10] }),
		true,
	],
	[
		"a title is no longer whole",
		nearly,
		filling({ [film]: [1000, 990], [other]: [10, 9] }),
		true,
	],
	[
		"a title among others goes on",
		nearly,
		filling({ [film]: [1000, 991], [other]: [10, 10] }),
		false,
	],
	[
		"all that is placed fits into one block: held is all at once",
		levels(0, { placedBytes: 1, heldBytes: 0 }),
		levels(0, { placedBytes: 1, heldBytes: 1 }),
		true,
	],
];

for (const [what, before, after, told] of cases)
	t.test(`${told ? "told" : "not told"}: ${what}`, async (t) => {
		t.equal(isWorthTelling(before, after), told);
	});

t.test("a box that fills tells about a hundred times", async (t) => {
	let told = filling({ [film]: [20_000, 0] });
	let messages = 0;
	for (let held = 1; held <= 20_000; held++) {
		const now = filling({ [film]: [20_000, held] });
		if (!isWorthTelling(told, now)) continue;
		told = now;
		messages++;
	}
	t.equal(messages, 100);
	t.equal(
		told.heldBytes,
		told.placedBytes,
		"the last one says that all is held",
	);
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
