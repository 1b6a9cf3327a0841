import t, { type Test } from "tap";
import { Probes } from "../../../src/agent/household/probes.ts";
import { bad, good } from "../../../src/base/result.ts";
import { SECOND } from "../../../src/base/time.ts";
import { makeRegion } from "../../swarm/region.ts";

const NODES = ["one:1", "two:2", "three:3"];

/** @param others nodes of the region that this box knows besides */
function scene(_: Test, random = 0.5, others: readonly string[] = []) {
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
			nodes: others,
			ping: (node) =>
				new Promise((resolve) =>
					asked.push({ node, answer: (trip) => resolve(trip) }),
				),
		},
		isNear: (host) => host === "home",
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

/** A node that has answered, and then does not for so long. */
async function fallenSilent(t: Test) {
	const it = scene(t, 0, ["one:1", "near:4", "home:6", "near:5"]);
	const { probes, time, asked, turn } = it;
	await turn();
	probes.ask();
	asked[0]?.answer(10);
	await turn();
	time.now += 9 * SECOND;
	for (let i = 0; i < 4; i++) {
		time.now += 250;
		probes.ask();
	}
	const near = asked.filter(({ node }) => node.startsWith("near:"));
	t.equal(near.length, 2, "others are asked, once");
	const home = asked.filter(({ node }) => node.startsWith("home:"));
	t.equal(home.length, 0, "but nobody in the same home");
	return { ...it, near };
}

t.test("a node is gone when others answer: no queue is full", async (t) => {
	const { probes, time, asked, near, turn } = await fallenSilent(t);
	t.equal(probes.delay, 240);
	near[1]?.answer(50);
	await turn();
	t.equal(probes.delay, undefined, "nothing is known of the new one yet");
	probes.ask();
	t.equal(asked.at(-1)?.node, "near:5");
	asked.at(-1)?.answer(52);
	await turn();
	t.equal(probes.delay, 2);
	near[0]?.answer(10);
	await turn();
	probes.ask();
	t.equal(asked.at(-1)?.node, "near:5", "one is enough");
	time.now += 61 * SECOND;
	probes.ask();
	await turn();
	probes.ask();
	t.equal(asked.at(-1)?.node, "two:2", "the operator's are tried again");
});

t.test("their answers come late, too: the queue is full", async (t) => {
	const { probes, time, asked, near, turn } = await fallenSilent(t);
	time.now += 300;
	for (const { answer } of near) answer(300);
	await turn();
	t.equal(probes.delay, 290);
	probes.ask();
	t.equal(asked.at(-1)?.node, "one:1");
	t.equal(asked.at(-2)?.node, "near:5", "and they once more, too");
});

t.test("the node has answered before them: it is there", async (t) => {
	const { probes, asked, near, turn } = await fallenSilent(t);
	asked[1]?.answer(800);
	await turn();
	near[0]?.answer(10);
	await turn();
	probes.ask();
	t.equal(asked.at(-1)?.node, "one:1");
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
			nodes: [],
			ping: async (node) => (silent.has(node) ? undefined : 7),
		},
		isNear: () => false,
	});
	t.same(await probes.find(), { node: "three:3", trip: 7 });
	silent.add("three:3");
	t.equal(await probes.find(), undefined);
});
