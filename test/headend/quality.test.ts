import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import { openDatabase } from "../../src/headend/fleet/database.ts";
import { Qualities } from "../../src/headend/fleet/quality.ts";
import { qualityViews } from "../../src/headend/fleet/qualityview.ts";
import type { Region, TitleId } from "../../src/wire/ids.ts";
import type { Watched } from "../../src/wire/quality.ts";

const film = "f".repeat(64) as TitleId;
const other = "0".repeat(64) as TitleId;
const region = "north-1" as Region;

function entry(said: Partial<Watched> = {}): Watched {
	return {
		...{ id: randomBytes(8).toString("hex"), title: film },
		...{ starts: [400], played: HOUR, stalls: 0, stalled: 0, seeks: 0 },
		...{ switches: 0, bitrate: 4_000_000 },
		...{ disk: 100, neighbours: 800, origin: 100, misses: {} },
		...said,
	};
}

async function open(t: Test) {
	const database = await openDatabase(t.testdir());
	const clock = { now: 1000 * DAY };
	const entries: unknown[] = [];
	const qualities = new Qualities({
		...{ database, region, log: silent, now: () => clock.now },
		isTitle: (title) => title === film || title === other,
		onEntry: (figures) => entries.push(figures),
	});
	t.teardown(async () => {
		await qualities.close();
		await database.close();
	});
	const view = async (hours = 24) => {
		await qualities.flush();
		return await qualityViews(database, hours, clock.now);
	};
	return { database, clock, entries, qualities, view };
}

t.test("what boxes say is summed up by title", async (t) => {
	const { qualities, clock, entries, view } = await open(t);
	qualities.note({
		watched: [
			entry(),
			entry({
				...{ starts: [900, 2500], played: 3 * HOUR, stalls: 2 },
				...{ stalled: HOUR / 4, bitrate: 8_000_000, seeks: 3, switches: 1 },
				misses: { "holder-busy": 2 },
			}),
			entry({
				title: other,
				starts: [],
				played: 0,
				misses: { entitlement: 1 },
			}),
		],
	});
	await qualities.flush();
	clock.now += 2 * HOUR;
	qualities.note({
		watched: [entry({ misses: { "holder-busy": 1, disk: 4 } })],
	});
	const [first, second, ...none] = await view();
	t.same(none, []);
	t.match(first, {
		...{ title: film, region, starts: 4, played: 5 * HOUR, stalls: 2 },
		...{ stallsPerHour: 0.4, rebuffering: 0.25 / 5.25, seeks: 3, switches: 1 },
		...{ bitrate: 6_400_000, disk: 300, neighbours: 2400, origin: 300 },
		misses: { "holder-busy": 3, disk: 4 },
	});
	t.equal(first?.startP50, 0.5, "two of four are in the bucket up to 0.5 s");
	t.ok(first?.startP95 && first.startP95 > 2 && first.startP95 <= 3);
	t.match(second, {
		...{ title: other, starts: 0, startP50: null, rebuffering: null },
		...{ stallsPerHour: null, misses: { entitlement: 1 } },
	});
	t.equal((await view(1))[0]?.played, HOUR, "of the last hour alone");
	t.equal(entries.length, 4);
});

t.test(
	"what comes twice, and what is no title, counts for nothing",
	async (t) => {
		const { qualities, entries, view } = await open(t);
		const said = entry();
		qualities.note({ watched: [said, said] });
		qualities.note({ watched: [said] });
		qualities.note({ watched: [entry({ title: "a".repeat(64) as TitleId })] });
		t.equal(entries.length, 1);
		t.match(await view(), [{ title: film, played: HOUR }]);
	},
);

t.test("it is forgotten after a month, and names no box", async (t) => {
	const { database, clock, qualities, view } = await open(t);
	qualities.note({ watched: [entry()] });
	t.equal((await view()).length, 1);
	clock.now += 31 * DAY;
	qualities.note({ watched: [entry({ title: other })] });
	t.match(await view(10_000), [{ title: other }]);
	const { rows } = await database.query<{ column_name: string }>(
		"SELECT column_name FROM information_schema.columns WHERE table_name = 'quality' ORDER BY 1",
	);
	t.same(
		rows.map((row) => row.column_name),
		[...["hour", "region", "sums", "title"]],
	);
});

t.test("however much is made up, a sum stays a number", async (t) => {
	const { qualities, view } = await open(t);
	for (let i = 0; i < 3; i++)
		for (let j = 0; j < 1000; j++)
			qualities.note({
				watched: [entry({ origin: 2 ** 44, starts: new Array(64).fill(1) })],
			});
	const [seen] = await view();
	t.ok(seen && Number.isSafeInteger(seen.origin));
});
