import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { MINUTE } from "../../src/base/time.ts";
import { VIEWER_PATIENCE } from "../../src/plan/source.ts";
import { until } from "../fixture.ts";
import { Town } from "./town.ts";

t.setTimeout(240_000);

// `npm run bench -- region` does the same with more boxes and says how long it takes.
t.test("every title plays from boxes that the table names", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "larder-town-"));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	const town = await Town.open({
		...{ folder, boxes: 24, titles: 10, shards: 24, copies: 3 },
		...{ maxPeers: 4, duration: 20 },
		// This machine has other things to do: nobody is given up only because of that.
		patience: { ...VIEWER_PATIENCE, dial: MINUTE, holder: MINUTE },
	});
	t.teardown(() => town.close());
	const { titles, residents } = town;
	await until(() =>
		residents.every(({ box }) => box.swarm.neighbours.size >= 4),
	);
	/** Each on a box that has not played before, which meets the holders anew. */
	const playAll = async (from: number) => {
		let met = 0;
		for (const [n, title] of titles.entries()) {
			const among = residents.filter(
				(_, i) => (i - n) % titles.length === from,
			);
			const { whole, meetings } = await town.play(title, among);
			if (!whole) t.fail(`title ${n} came otherwise than it was published`);
			met += meetings.length;
		}
		return met;
	};

	await t.test("with all there", async (t) => {
		t.ok((await playAll(0)) > 0, "holders were dialled");
		t.equal(town.fromOrigin, 0);
	});

	await t.test(
		"with operator's DHT nodes, origin, broker and headend gone",
		async (t) => {
			await town.darken();
			t.ok((await playAll(1)) > 0, "holders were dialled");
		},
	);
});
