// What boxes claim is theirs to say, and ends where another's begins: one must not cost the others their reports, nor the operator the page.
import t from "tap";
import { boxes, regions, titleFills } from "../../src/headend/fleet/views.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { encodeMessage, parseMessage } from "../../src/wire/json.ts";
import { type Fill, fill, reported } from "../../src/wire/reports.ts";
import { bench, fillOf, region } from "./fixture.ts";

t.test("what one box says costs no other its report", async (t) => {
	const { fleet, database, box } = await bench(t);
	const liar = await box();
	const honest = await box();
	const title = "ab".repeat(32) as TitleId;
	await database.query(
		`INSERT INTO holders (region, title, epoch, version, boxes, shards, fewest, copies, envelope)
		VALUES ('${region}', $1, 1, 1, '[]', '[]', 1, 1, '')`,
		[title],
	);
	const most = Number.MAX_SAFE_INTEGER;
	const { counters } = fillOf();
	const all = (value: number) =>
		Object.fromEntries(Object.keys(counters).map((name) => [name, value]));
	const report = { session: "1".repeat(16), at: 1, epoch: 1, rev: 2 };
	const failed = { ...report, phase: "failed", code: "x" };
	const said: readonly object[] = [
		...["\0", "\ud800", "a\udc00b"].map((detail) => ({ ...failed, detail })),
		{ ...failed, code: "\0", epoch: most, rev: most, missingBytes: most },
		fillOf({ neighbours: most }),
		fillOf({ neighbours: 2 ** 31, titles: [] }),
		fillOf({ titles: [{ id: title, placed: most, held: most, bytes: most }] }),
		...Array.from({ length: 3 }, (_, n) =>
			fillOf({
				...{ session: `${n}`.repeat(16), capacity: most, usedSpace: most },
				counters: all(most) as Fill["counters"],
			}),
		),
	];
	for (const [index, each] of said.entries()) {
		const bytes = encodeMessage(each);
		const one = parseMessage(reported, bytes);
		if (one.ok) fleet.recordReported(liar, one.value);
		const other = parseMessage(fill, bytes);
		if (other.ok) fleet.recordFill(liar, other.value);
		fleet.recordReported(honest, { ...report, phase: "applied", rev: index });
		fleet.recordFill(honest, fillOf({ usedSpace: index }));
		await t.resolves(fleet.flush(), JSON.stringify(each).slice(0, 80));
		const views = await boxes(database);
		t.match(
			views.find(({ id }) => id === honest),
			{ saidRev: index, used: index },
		);
		await regions(database);
		await titleFills(database);
	}
});
