// A DHT node in the wrong hands, beside an honest one: it may keep boxes from finding each other, and can do nothing else.
import { randomBytes } from "node:crypto";

import t, { type Test } from "tap";
import { freeUdpPort } from "../../src/desk/ports.ts";
import { openBootstrapNode } from "../../src/swarm/dht.ts";
import {
	hold,
	makeOperator,
	makeTitle,
	type TestBox,
	until,
} from "../fixture.ts";
import { fill, has, makeRegion, meet } from "./region.ts";

t.setTimeout(120_000);
t.jobs = 4;

const title = makeTitle(100_000, 4096, 8);

/** What nodes ask each other, as HyperDHT numbers it. */
const HANDSHAKE = 0;
const FIND_PEER = 2;
const LOOKUP = 3;
const ANNOUNCE = 4;

interface Question {
	readonly command: number;
	reply(value: Buffer | null): void;
}

/** A box that is said to be there, by its key, and the nodes, `host:port`, that are said to lead to it. */
type Peer = readonly [key: Uint8Array, ...nodes: string[]];

/** What the node knows that lies. */
interface Scene {
	/** Its own address. */
	readonly node: string;
	/** A neighbour, which the honest node knows. */
	readonly neighbour: TestBox;
	/** A box of another operator, which answers whoever dials it. */
	readonly foreign: TestBox;
	/** Where nobody is. */
	readonly nowhere: string;
}

/** What is answered to who looks a region or a box up. */
interface Lie {
	readonly found: (scene: Scene) => readonly Peer[] | Buffer;
	/** Whether the box comes to dial another operator's. */
	readonly misleads?: boolean;
}

const addressOf = ({ swarm }: TestBox) => `127.0.0.1:${swarm.dhtPort}`;
const keyOf = ({ id }: TestBox) => Buffer.from(id, "hex");

const LIES: Readonly<Record<string, Lie>> = {
	"boxes that are none": {
		found: ({ node, nowhere }) => [
			[randomBytes(32), nowhere],
			[randomBytes(32), node],
			[randomBytes(32)],
		],
	},
	"another operator's box": {
		found: ({ foreign }) => [[keyOf(foreign), addressOf(foreign)]],
		misleads: true,
	},
	"the neighbour, where another is": {
		found: ({ neighbour, foreign }) => [[keyOf(neighbour), addressOf(foreign)]],
	},
	"the neighbour, here": {
		found: ({ neighbour, node }) => [[keyOf(neighbour), node]],
	},
	garbage: { found: () => randomBytes(300) },
	"a list without end": {
		found: () => Buffer.from("ffffffffffffffffff", "hex"),
	},
};

/**
 * A node that records nobody, answers with a lie, and to who would shake hands through it with garbage.
 * @param others nodes that it knows
 */
async function openLiar(t: Test, { found }: Lie, others: readonly string[]) {
	const port = await freeUdpPort();
	const node = await openBootstrapNode("127.0.0.1", port, others);
	t.teardown(() => node.destroy());
	const liar = {
		address: `127.0.0.1:${port}`,
		/** How often it lied, and shook hands. */
		...{ told: 0, shaken: 0 },
		begin: (scene: Scene) => {
			const onrequest = (question: Question): boolean => {
				const { command } = question;
				if (command === ANNOUNCE) question.reply(null);
				else if (command === HANDSHAKE) {
					liar.shaken++;
					question.reply(randomBytes(200));
				} else if (command === LOOKUP || command === FIND_PEER) {
					liar.told++;
					question.reply(answer(found(scene), command));
				}
				return true;
			};
			Object.assign(node, { onrequest });
		},
	};
	return liar;
}

function answer(found: readonly Peer[] | Buffer, command: number): Buffer {
	if (Buffer.isBuffer(found)) return found;
	const peers = found.map(([key, ...nodes]) =>
		Buffer.concat([key, Buffer.from([nodes.length]), ...nodes.map(packed)]),
	);
	return command === LOOKUP
		? Buffer.concat([Buffer.from([peers.length]), ...peers, Buffer.alloc(1)])
		: (peers[0] ?? Buffer.alloc(0));
}

/** Four bytes of address and two of port, the low one first. */
function packed(address: string): Buffer {
	const [host = "", port = ""] = address.split(":");
	const bytes = Buffer.from([...host.split(".").map(Number), 0, 0]);
	bytes.writeUInt16LE(Number(port), 4);
	return bytes;
}

/** A region with a neighbour that holds the title, and a node beside its own that lies from now on. */
async function scene(t: Test, lie: Lie, alone: boolean) {
	const region = await makeRegion(t);
	const liar = await openLiar(t, lie, alone ? [] : [region.address]);
	const nodes = [liar.address, region.address];
	const neighbour = await region.box("neighbour", {
		bootstrap: alone ? [region.address] : nodes,
	});
	await hold(neighbour, title);
	const foreign = await region.box("foreign", { operator: makeOperator() });
	const nowhere = `127.0.0.1:${await freeUdpPort()}`;
	liar.begin({ node: liar.address, neighbour, foreign, nowhere });
	const box = await region.box("box", {
		bootstrap: alone ? [liar.address] : nodes,
	});
	await until(() => liar.told > 0);
	return { liar, neighbour, foreign, box };
}

/** Whether another operator's box was sent away, or let in. */
function isJudged({ swarm }: TestBox, foreign: TestBox): boolean {
	return (
		swarm.refusals.has("bad-signature") || swarm.neighbours.has(foreign.id)
	);
}

for (const [what, lie] of Object.entries(LIES))
	t.test(`a node that answers with ${what}`, { buffered: true }, async (t) => {
		const { neighbour, foreign, box } = await scene(t, lie, false);
		await meet(box, neighbour);
		if (lie.misleads === true) await until(() => isJudged(box, foreign));
		await fill(box, title);
		t.ok(await has(box, title), "it fills from its neighbour");
		t.same([...box.swarm.neighbours.keys()], [neighbour.id], "its only one");
		t.same([...neighbour.swarm.neighbours.keys()], [box.id], "and its");
		t.equal(foreign.swarm.neighbours.size, 0, "another operator's has none");
		t.equal(box.traffic.wrong, 0, "no wrong byte came");
	});

t.test(
	"a node that lies alone keeps boxes apart, and no more",
	{ buffered: true },
	async (t) => {
		const found = ({ neighbour, foreign, node }: Scene): readonly Peer[] => [
			[keyOf(neighbour), node],
			[keyOf(foreign), addressOf(foreign)],
		];
		const { liar, box, foreign } = await scene(t, { found }, true);
		const unwatch = box.swarm.watch(title.id);
		await until(() => liar.shaken > 0);
		await until(() => isJudged(box, foreign));
		t.equal(box.swarm.neighbours.size, 0, "nobody is let in");
		t.equal(foreign.swarm.neighbours.size, 0, "nor by another operator's");
		t.same({ ...box.traffic }, { from: 0, to: 0, wrong: 0 }, "nothing came");
		t.equal(await box.store.manifest(title.id), undefined, "nothing is kept");
		unwatch();
	},
);
