import t from "tap";
import { MAX_DIALLED } from "../../src/swarm/dialler.ts";
import { type TestBox, until } from "../fixture.ts";
import { makeRegion, meet } from "./region.ts";
import { type Rogue, sneakIn } from "./stranger.ts";

const maxPeers = 2;
const LIMIT = maxPeers + MAX_DIALLED;
const BATCH = 8;

t.test("more members than there is room for are turned away", async (t) => {
	const region = await makeRegion(t);
	const box = await region.box("box", { maxPeers });
	const { neighbours, refusals } = box.swarm;
	const enter = async (host: string): Promise<Rogue | undefined> => {
		const rogue = await sneakIn(region, box, host).catch(() => undefined);
		t.teardown(() => rogue?.end());
		return rogue;
	};
	/** A few at a time, as boxes behind one address come. */
	const come = async (count: number, host: string): Promise<Rogue[]> => {
		const inside: Rogue[] = [];
		for (let at = 0; at < count; at += BATCH) {
			const batch = Array.from({ length: Math.min(BATCH, count - at) }, () =>
				enter(host),
			);
			for (const one of await Promise.all(batch)) if (one) inside.push(one);
		}
		return inside;
	};
	const first = await come(LIMIT, "127.0.0.1");
	t.equal(first.length, Math.ceil(LIMIT * 0.75), "one address has most of it");
	const others = await come(LIMIT, "127.0.0.2");
	t.equal(first.length + others.length, LIMIT, "others have the rest");
	t.equal(refusals.get("full"), LIMIT);
	t.equal(neighbours.size, LIMIT);
	first[0]?.stream.destroy();
	await until(() => neighbours.size < LIMIT);
	t.ok(await enter("127.0.0.1"), "there is room again");
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

t.test("when memory is short, those of no use go first", async (t) => {
	const region = await makeRegion(t);
	const box = await region.box("box", { maxPeers: 8 });
	const { swarm } = box;
	const enter = async () => {
		const rogue = await sneakIn(region, box).catch(() => undefined);
		t.teardown(() => rogue?.end());
		return rogue;
	};
	const members = [await enter(), await enter(), await enter(), await enter()];
	await until(() => swarm.neighbours.size === 4);
	const used = swarm.neighbours.get(members[1]!.id)!;
	used.lastUsed += 1000;
	swarm.allow(2);
	await until(() => swarm.neighbours.size === 2);
	t.ok(swarm.neighbours.has(used.box));
	t.ok(swarm.neighbours.has(members[3]!.id), "the last that came");
	t.notOk(await enter(), "nobody takes their place");
	t.equal(swarm.refusals.get("full"), 1);
	swarm.allow();
	t.ok(await enter());
});
