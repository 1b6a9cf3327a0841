import t from "tap";
import { DAY, HOUR } from "../../src/base/time.ts";
import { concernsOf } from "../../src/headend/fleet/concerns.ts";
import { boxes } from "../../src/headend/fleet/views.ts";
import type { DiskReport } from "../../src/wire/reports.ts";
import { bench, stateOf } from "./fixture.ts";

const NOW = 100 * DAY;

t.test("what of a box needs a person", async (t) => {
	const { database, box, fleet } = await bench(t);
	const id = await box();
	fleet.recordState(id, stateOf(id));
	await fleet.flush();
	const [plain] = await boxes(database);
	if (plain === undefined) throw new Error("no box");
	const kinds = (over: Partial<typeof plain>) =>
		concernsOf({ ...plain, ...over }, NOW).map(({ kind }) => kind);
	const disk = (over: Partial<DiskReport>): Partial<typeof plain> => ({
		disk: {
			...{ state: "good", unreadable: 0, changed: 0, mended: 0, scrubbed: 0 },
			...over,
		},
		diskAt: NOW - HOUR,
	});
	t.same(kinds({}), [], "an older one tells nothing");
	t.same(kinds(disk({})), []);
	for (const state of ["failing", "read-only", "full", "slow"] as const)
		t.same(kinds(disk({ state })), [`disk-${state}`]);
	t.same(kinds(disk({ unreadable: 1, changed: 1, mended: 9 })), []);
	t.same(kinds(disk({ unreadable: 2, changed: 1 })), ["disk-loses"]);
	t.same(kinds({ wear: { used: 70, reserve: "normal" } }), []);
	t.same(kinds({ wear: { used: 80, reserve: "normal" } }), ["worn"]);
	t.same(kinds({ wear: { used: 10, reserve: "warning" } }), ["worn"]);
	t.same(kinds({ missing: 5, missingAt: NOW - HOUR }), [], "an evening");
	t.same(kinds({ missing: 5, missingAt: NOW - DAY }), ["short"]);
	t.same(kinds({ missing: 0, missingAt: null }), []);
	t.same(
		kinds({ ...disk({ state: "failing" }), missing: 5, missingAt: 0 }),
		["disk-failing", "short"],
		"the worst first",
	);
	t.same(kinds({ ...disk({ state: "failing" }), revoked: true }), []);
});
