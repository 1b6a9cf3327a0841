import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { place } from "../../src/headend/fleet/groups.ts";
import { readPlaces } from "../../src/headend/fleet/places.ts";
import { Planner } from "../../src/headend/fleet/planner.ts";
import { boxes } from "../../src/headend/fleet/views.ts";
import { Wishes } from "../../src/headend/fleet/wishes.ts";
import type { PlannedTitle } from "../../src/plan/placement.ts";
import { unseal } from "../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { type Placement, placement } from "../../src/wire/placement.ts";
import { bench, fillOf, region, stateOf } from "./fixture.ts";

/** A fleet of boxes that have reported, and a planner over it. */
async function scene(t: Test, titles: readonly PlannedTitle[]) {
	const it = await bench(t);
	const sent = new Map<BoxId, Placement>();
	const planner = new Planner({
		operator: it.operator,
		fleet: it.fleet,
		wishes: new Wishes(it.database, region),
		titles: async () => titles,
		publishDesired: async (box, bytes) => {
			const read = unseal(bytes, "placement", placement, it.operator.trust);
			if (read.ok) sent.set(box, read.value);
		},
		log: silent,
	});
	t.teardown(() => planner.close());
	const come = async () => {
		const box = await it.box();
		it.fleet.recordState(box, stateOf(box));
		it.fleet.recordFill(box, fillOf());
		await it.fleet.flush();
		const row = (await boxes(it.database)).find(({ id }) => id === box);
		return { box, serial: row?.serial ?? "" };
	};
	/** The groups that a box was told. */
	const near = (box: BoxId) => {
		const body = sent.get(box)?.body;
		return body !== undefined && "titles" in body ? body.near : undefined;
	};
	return { ...it, planner, sent, come, near };
}

t.test("boxes are told their groups with what they are to hold", async (t) => {
	const film: PlannedTitle = {
		id: "f".repeat(64) as TitleId,
		geometry: { size: 4096, blockSize: 1024, shardBlocks: 1 },
	};
	const { fleet, planner, sent, come, near, database } = await scene(t, [film]);
	const [a, b, c] = [await come(), await come(), await come()];
	await planner.plan();
	t.equal(sent.size, 3);
	t.notOk(near(a.box), "nobody says where boxes are");

	await fleet.place([
		{ serial: a.serial, levels: ["street7", "node3"] },
		{ serial: b.serial, levels: ["street8", "node3"] },
	]);
	sent.clear();
	t.equal((await planner.plan()).told, 2, "only those two");
	const [ofA = [], ofB = []] = [near(a.box), near(b.box)];
	t.equal(ofA.length, 2);
	t.equal(ofA[1], ofB[1], "one node");
	t.not(ofA[0], ofB[0], "two streets");
	t.notMatch(JSON.stringify([...sent.values()]), /street|node/);
	t.ok([...sent.values()].every(({ body }) => "titles" in body && body.titles));
	const rows = await boxes(database);
	t.same(rows.find(({ id }) => id === a.box)?.levels, ["street7", "node3"]);
	t.equal(rows.find(({ id }) => id === c.box)?.levels, null);

	sent.clear();
	t.equal((await planner.plan()).told, 0, "once");

	await fleet.place([
		{ serial: c.serial, levels: ["street7", "node3"] },
		{ serial: b.serial, levels: [] },
	]);
	t.equal((await planner.plan()).told, 2);
	t.same(near(c.box), ofA, "a group keeps its id");
	t.notOk(near(b.box), "it is in none any more");

	await fleet.revoke(c.box);
	t.same([...(await fleet.groups(region)).keys()], [a.box]);
});

t.test(
	"who holds nothing is told, too, and who has not come yet",
	async (t) => {
		const { fleet, planner, come, near } = await scene(t, []);
		await fleet.place([{ serial: "SN-0002", levels: ["street7"] }]);
		const a = await come();
		t.equal((await planner.plan()).told, 0);
		const b = await come();
		t.equal(b.serial, "SN-0002");
		t.equal((await planner.plan()).told, 1);
		t.notOk(near(a.box));
		t.equal(near(b.box)?.length, 1);
	},
);

t.test("a level of one name is not another level of that name", async (t) => {
	const { fleet, come } = await scene(t, []);
	const [a, b] = [await come(), await come()];
	await fleet.place([
		{ serial: a.serial, levels: ["1", "2"] },
		{ serial: b.serial, levels: ["2", "1"] },
	]);
	const groups = await fleet.groups(region);
	const ids = [a, b].flatMap(({ box }) => [...(groups.get(box) ?? [])]);
	t.equal(new Set(ids).size, 4);
});

t.test("a fleet's places come from a file", async (t) => {
	const path = join(t.testdir(), "places.csv");
	const read = async (text: string) => {
		await writeFile(path, text);
		return await readPlaces(path);
	};
	t.same(await read('serial,street,node\n"SN-1",s7 ; "n 3"\nSN-2\tü\n'), [
		{ serial: "SN-1", levels: ["s7", "n 3"] },
		{ serial: "SN-2", levels: ["ü"] },
	]);
	t.same(await read("SN-1\nSN-2,,\n"), [
		{ serial: "SN-1", levels: [] },
		{ serial: "SN-2", levels: [] },
	]);
	for (const bad of ["SN-2,,n3", "SN-2,a,b,c,d,e", `SN-2,${"x".repeat(65)}`])
		await t.rejects(
			read(`SN-1,s7\n${bad}\n`),
			{ code: "CONFIG_INVALID", message: /line 2: / },
			bad,
		);
});

t.test("names of groups are words", async (t) => {
	const isPlace = (name: string) =>
		place.safeParse({ serial: "SN-1", levels: [name] }).success;
	for (const name of ["street7", "a", "Köln / 3", "x".repeat(64), "a-b_c.d:e"])
		t.ok(isPlace(name), name);
	for (const name of ["", " a", "a ", "a,b", 'a"', "a\nb", "\u001b[2J", "a\0"])
		t.notOk(isPlace(name), JSON.stringify(name));
});
