import t from "tap";
import { MAX_DIALLED } from "../../src/swarm/dialler.ts";
import { until } from "../fixture.ts";
import { makeRegion } from "./region.ts";
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
