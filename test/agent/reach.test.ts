import t, { type Test } from "tap";
import {
	judgeReach,
	portsOf,
	Reach,
	type ReachFacts,
} from "../../src/agent/reach.ts";
import { silent } from "../../src/base/log.ts";
import { HOUR, MINUTE, SECOND } from "../../src/base/time.ts";
import { openBootstrapNode } from "../../src/swarm/dht.ts";
import type { State } from "../../src/wire/reports.ts";
import { makeBootstrap, type TestBox } from "../fixture.ts";
import { makeRegion, meet } from "../swarm/region.ts";

const sound: ReachFacts = {
	configured: "nat",
	port: 49740,
	neighbours: 0,
	met: false,
	seen: ["198.51.100.7:6001", "198.51.100.7:6001", "198.51.100.7:6001"],
	ports: "same",
	silent: 0,
	up: HOUR,
};
const mute = { ...sound, seen: [], silent: 5 * MINUTE };
const random = {
	...sound,
	seen: ["198.51.100.7:6001", "198.51.100.7:6002", "198.51.100.7:6003"],
	ports: "random",
} as const;
const here = ["198.51.100.7:49740"];

const CASES: readonly (readonly [
	what: string,
	facts: ReachFacts,
	reach: State["reach"],
	level: "ok" | "warn" | "fail",
	finding: string | RegExp,
])[] = [
	["a sound NAT", sound, "nat", "ok", "198.51.100.7:6001"],
	["nobody answers", mute, "none", "fail", "answered for 5 min"],
	[
		"nobody answers yet",
		{ ...mute, silent: 20 * SECOND },
		"nat",
		"warn",
		"20 s",
	],
	[
		"nobody answers, but neighbours stayed",
		{ ...mute, neighbours: 2, met: true },
		"nat",
		"warn",
		"2 neighbours",
	],
	[
		"nobody answers, and neighbours have gone",
		{ ...mute, met: true },
		"none",
		"fail",
		"no DHT node",
	],
	[
		"nobody answers a box on a routed network",
		{ ...mute, configured: "direct" },
		"none",
		"fail",
		"no DHT node",
	],
	["random ports", random, "none", "fail", "no neighbour ever got through"],
	[
		"random ports, just started",
		{ ...random, up: MINUTE },
		"nat",
		"warn",
		"another port",
	],
	[
		"random ports, but somebody got through once",
		{ ...random, met: true },
		"nat",
		"warn",
		"another port",
	],
	[
		"random ports, and one node is left that answers",
		{ ...random, seen: ["198.51.100.7:6001"] },
		"none",
		"fail",
		"another port",
	],
	[
		"too few nodes to know the NAT",
		{ ...sound, seen: ["198.51.100.7:6001"], ports: "unknown" },
		"nat",
		"warn",
		"1 DHT nodes answer",
	],
	[
		"a routed network",
		{ ...sound, configured: "direct", seen: here, ports: "unknown" },
		"direct",
		"ok",
		"198.51.100.7:49740",
	],
	[
		"a routed network that is none",
		{ ...sound, configured: "direct" },
		"direct",
		"warn",
		"see port 49740 as 198.51.100.7:6001",
	],
];

for (const [what, facts, reach, level, text] of CASES)
	t.test(what, async (t) => {
		const verdict = judgeReach(facts);
		t.match(verdict, { reach, check: { name: "reach", level } });
		t.match(verdict.check.finding, text);
		t.equal(verdict.check.remedy === undefined, level === "ok");
	});

t.test("what a NAT makes of the port", async (t) => {
	t.equal(portsOf([]), "unknown");
	t.equal(portsOf(["a:1", "a:2"]), "unknown");
	t.equal(portsOf(["a:1", "a:2", "a:3"]), "random");
	t.equal(portsOf(["a:1", "a:2", "a:1"]), "same");
	t.equal(portsOf(["a:1", "a:1"]), "same");
});

/** Watches a box's reach; `changes` gives what it tells, in order. */
function watch(
	t: Test,
	{ swarm }: TestBox,
	configured: ReachFacts["configured"],
	...bootstrap: string[]
) {
	const told: State["reach"][] = [];
	let wake = () => {};
	const reach = new Reach({
		...{ configured, bootstrap, swarm },
		...{ log: silent, every: 20, patience: SECOND },
		onChange: (now) => {
			told.push(now);
			wake();
		},
	});
	t.teardown(() => reach.close());
	const change = async () => {
		while (told.length === 0)
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		return told.shift();
	};
	return { reach, told, change };
}

t.test("a box that finds no DHT node, until there is one", async (t) => {
	const region = await makeRegion(t);
	await region.end();
	const { address } = region;
	const box = await region.box("lonely");
	const { reach, change } = watch(t, box, "direct", address);
	t.match(reach.current, { reach: "direct", check: { level: "warn" } });
	t.equal(await change(), "none");
	t.match(reach.current.check, { level: "fail", remedy: String });
	const [host = "", port] = address.split(":");
	const node = await openBootstrapNode(host, Number(port), []);
	t.teardown(() => node.destroy());
	t.equal(await change(), "direct");
	const { check } = reach.current;
	t.match(check, { level: "ok" });
	t.match(check.finding, `127.0.0.1:${box.swarm.dhtPort}`);
});

t.test("a box behind a NAT keeps its reach, met or not", async (t) => {
	const region = await makeRegion(t);
	const others = [await makeBootstrap(), await makeBootstrap()];
	for (const { node } of others) t.teardown(() => node.destroy());
	const nodes = [region.address, ...others.map(({ address }) => address)];
	const settings = { reach: "nat", bootstrap: nodes } as const;
	const box = await region.box("one", settings);
	const { reach, told } = watch(t, box, "nat", ...nodes);
	t.match(await reach.look(), { reach: "nat", check: { level: "ok" } });
	t.match(box.swarm.standing, { neighbours: 0, met: false });
	await meet(box, await region.box("two", settings));
	t.match(box.swarm.standing, { neighbours: 1, met: true });
	t.match(await reach.look(), { reach: "nat", check: { level: "ok" } });
	t.same(told, []);
});
