import t, { type Test } from "tap";
import { Probes } from "../../../src/agent/household/probes.ts";
import { bad, good } from "../../../src/base/result.ts";
import { SECOND } from "../../../src/base/time.ts";
import { makeRegion } from "../../swarm/region.ts";

const NODES = ["one:1", "two:2", "three:3"];

function scene(_: Test, random = 0.5) {
	const time = { now: 0 };
	const asked: { node: string; answer: (trip?: number) => void }[] = [];
	const surveyed: string[] = [];
	const probes = new Probes({
		nodes: NODES,
		swarm: {
			survey: async ([node = ""]) => {
				surveyed.push(node);
				return [{ node, seen: good({ by: node, at: "" }) }];
			},
			ping: (node) =>
				new Promise((resolve) =>
					asked.push({ node, answer: (trip) => resolve(trip) }),
				),
		},
		now: () => time.now,
		random: () => random,
	});
	const turn = () => new Promise(setImmediate);
	return { probes, time, asked, surveyed, turn };
}

t.test("the way to one node is measured", async (t) => {
	const { probes, time, asked, turn } = scene(t);
	await turn();
	probes.ask();
	t.equal(probes.delay, undefined);
	t.equal(asked[0]?.node, "two:2");
	time.now = 20;
	asked[0]?.answer(20);
	await turn();
	t.equal(probes.delay, 0);
	for (const trip of [320, 330, 340]) {
		probes.ask();
		asked.at(-1)?.answer(trip);
		await turn();
	}
	t.equal(probes.delay, 300);
});

t.test("no more is asked than a few answers can be owed", async (t) => {
	const { probes, time, asked, turn } = scene(t);
	await turn();
	for (let i = 0; i < 30; i++) {
		probes.ask();
		time.now += 250;
	}
	t.equal(asked.length, 16);
});

t.test("a node that is silent is left after a while", async (t) => {
	const { probes, time, asked, surveyed, turn } = scene(t, 0.99);
	await turn();
	probes.ask();
	asked[0]?.answer(10);
	await turn();
	t.equal(probes.delay, 0);
	time.now += 7 * SECOND;
	probes.ask();
	time.now += 3 * SECOND;
	probes.ask();
	t.equal(probes.delay, 3 * SECOND - 10, "the queue may be that long");
	time.now += 3 * SECOND;
	probes.ask();
	t.equal(probes.delay, undefined, "what was known was of the other");
	await turn();
	t.same(surveyed, ["three:3", "one:1"]);
	probes.ask();
	t.equal(asked.at(-1)?.node, "one:1");
	asked[1]?.answer(20 * SECOND);
	await turn();
	t.equal(probes.delay, undefined, "an answer of the other, too");
});

t.test("what is not answered in the end is late for a while", async (t) => {
	const { probes, time, asked, turn } = scene(t);
	await turn();
	probes.ask();
	asked[0]?.answer(10);
	await turn();
	time.now += 9 * SECOND;
	for (let i = 0; i < 3; i++) probes.ask();
	time.now += 4 * SECOND;
	for (const { answer } of asked.slice(1)) answer(undefined);
	await turn();
	t.equal(probes.delay, 4 * SECOND - 10);
	time.now += 5 * SECOND;
	probes.ask();
	t.equal(probes.delay, undefined, "but not for ever");
});

t.test("a real node answers", async (t) => {
	const region = await makeRegion(t);
	const { swarm } = await region.box("a");
	t.ok(((await swarm.ping(region.address)) ?? -1) >= 0);
	await region.end();
	t.equal(await swarm.ping(region.address), undefined);
});

t.test("who wants to know is told of a node that answers", async (t) => {
	const silent = new Set(["one:1"]);
	const probes = new Probes({
		nodes: NODES,
		swarm: {
			survey: async (nodes) =>
				nodes.map((node) => ({
					node,
					seen:
						node === "two:2"
							? bad("silent", "no answer")
							: good({ by: node, at: "" }),
				})),
			ping: async (node) => (silent.has(node) ? undefined : 7),
		},
	});
	t.same(await probes.find(), { node: "three:3", trip: 7 });
	silent.add("three:3");
	t.equal(await probes.find(), undefined);
});
