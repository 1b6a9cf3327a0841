// Two neighbours want different parts of a title of a box with a slow uplink: one could have his from somebody else as well.
import t from "tap";
import { KiB } from "../../src/base/units.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { makeRegion, meet } from "./region.ts";

const BLOCK = 64 * KiB;
const COUNT = 4;
const title = makeTitle(8 * BLOCK, BLOCK, COUNT);
const { id } = title;
const { signal } = new AbortController();

t.test("what nobody else holds goes first", async (t) => {
	const region = await makeRegion(t);
	const a = await region.box("a", { up: 4 * BLOCK });
	const [b, c, d] = await Promise.all(
		["b", "c", "d"].map((name) => region.box(name)),
	);
	if (b === undefined || c === undefined || d === undefined) throw new Error();
	await hold(a, title);
	await hold(d, title, [0]);
	for (const each of [b, c, d]) await meet(a, each);
	for (const { swarm } of [a, b, c]) t.teardown(swarm.watch(id));
	await until(() => a.swarm.candidates(id, 0).length === 1);
	for (const { swarm } of [b, c])
		await until(() => swarm.candidates(id, 1).length === 1);
	const ended: string[] = [];
	const ask = async (box: typeof b, shard: number, name: string) => {
		await box.swarm.blocks(
			a.id,
			{
				...{ title: id, run: { shard, first: 0, count: COUNT } },
				...{ bytes: COUNT * BLOCK, blockSize: BLOCK, urgent: true },
			},
			() => undefined,
			signal,
		);
		ended.push(name);
	};
	await Promise.all([
		ask(b, 0, "held elsewhere"),
		ask(c, 1, "held by nobody else"),
	]);
	t.same(ended, ["held by nobody else", "held elsewhere"]);
});
