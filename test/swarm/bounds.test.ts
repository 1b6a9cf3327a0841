import t from "tap";
import { MAX_DIALLED } from "../../src/swarm/dialler.ts";
import { type TestBox, until } from "../fixture.ts";
import { makeRegion, meet } from "./region.ts";
import { type Rogue, sneakIn } from "./stranger.ts";

const maxPeers = 2;
const LIMIT = maxPeers + MAX_DIALLED;
const MORE = 8;

t.test("more members than there is room for are turned away", async (t) => {
	const region = await makeRegion(t);
	const box = await region.box("box", { maxPeers });
	const { neighbours, refusals } = box.swarm;
	const enter = async (): Promise<Rogue | undefined> => {
		const rogue = await sneakIn(region, box).catch(() => undefined);
		t.teardown(() => rogue?.end());
		return rogue;
	};
	const coming = Array.from({ length: LIMIT + MORE }, enter);
	const inside = (await Promise.all(coming)).filter((one) => one);
	t.equal(inside.length, LIMIT);
	t.equal(refusals.get("full"), MORE);
	await until(() => neighbours.size === LIMIT);
	inside[0]?.stream.destroy();
	await until(() => neighbours.size < LIMIT);
	t.ok(await enter(), "there is room again");
});

t.test("a box dials few of those whom the topic names", async (t) => {
	const region = await makeRegion(t);
	const boxes: TestBox[] = [];
	while (boxes.length < 10) {
		boxes.push(await region.box(`${boxes.length}`, { maxPeers: 1 }));
	}
	// Everybody can be found: whoever may have many neighbours finds them all.
	const social = await region.box("social", { maxPeers: 64 });
	await Promise.all(boxes.map((box) => meet(social, box)));
	let lines = 0;
	for (const { swarm } of boxes) {
		for (const box of swarm.neighbours.keys()) if (box !== social.id) lines++;
	}
	t.ok(
		lines <= 2 * boxes.length,
		`${lines / 2} connections of ${boxes.length} boxes`,
	);
});
