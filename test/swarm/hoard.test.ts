import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type HyperDHT from "hyperdht";
import t, { type Test } from "tap";
import { type Bytes, MiB } from "../../src/base/units.ts";
import { MAX_CHUNK } from "../../src/wire/exchange.ts";
import type { Head } from "../../src/wire/head.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { type TestBox, until } from "../fixture.ts";
import { begin, come, each, LONG, letIn, shown, type Way } from "./hoarder.ts";
import { makeRegion, meet, type TestRegion } from "./region.ts";
import { openDht, type Stranger } from "./stranger.ts";

/** What a box, and all who attack it from this process, may set aside. */
const MOST: Bytes = 128 * MiB;
/** Where UDX comes from. */
const HOSTS = ["127.0.0.1", "127.0.0.3", "127.0.0.4"];

t.setTimeout(120_000);
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Looks at what this process has set aside for bytes; gives the most that was seen since then. */
function watchMemory(): () => Bytes {
	const taken = () => {
		collect();
		return process.memoryUsage().arrayBuffers;
	};
	const before = taken();
	let most = 0;
	return () => {
		most = Math.max(most, taken() - before);
		return most;
	};
}

interface Scene {
	readonly region: TestRegion;
	readonly box: TestBox;
	readonly dhts: ReadonlyMap<string, HyperDHT>;
	readonly most: () => Bytes;
	/** How many frames were begun. */
	begun: number;
}

async function scene(t: Test, onHead?: (head: Head) => void): Promise<Scene> {
	const region = await makeRegion(t);
	const box = await region.box("box", {
		maxPeers: 64,
		...(onHead && { membership: { offerHead: onHead } }),
	});
	const dhts = new Map(HOSTS.map((host) => [host, openDht(region, host)]));
	t.teardown(async () => {
		for (const dht of dhts.values()) await dht.destroy({ force: true });
	});
	return { region, box, dhts, most: watchMemory(), begun: 0 };
}

/** A thief with one certificate. */
function thief(t: Test, at: Scene, host = "127.0.0.1") {
	const { region, box, dhts } = at;
	const key = generateKeyPair();
	const dht = dhts.get(host);
	const start = (stranger: Stranger | undefined, length: Bytes) => {
		if (stranger === undefined) return;
		begin(stranger, length);
		if (++at.begun % 40 === 0) at.most();
	};
	return {
		start,
		udx: (way: Way) => come(t, region, box, key, way, "udx", host, dht),
		tcp: (way: Way) => come(t, region, box, key, way, "tcp", host, dht),
	};
}

/** An honest neighbour comes as ever. */
async function endures(t: Test, at: Scene): Promise<void> {
	const honest = await at.region.box("honest");
	await meet(honest, at.box, "tcp");
	await meet(at.box, honest, "tcp");
	t.ok(at.begun > 50, `${at.begun} frames were begun`);
	t.ok(at.most() < MOST, `${at.most()} bytes at most`);
}

t.test("one certificate on hundreds of TCP connections", async (t) => {
	const at = await scene(t);
	const { start, tcp } = thief(t, at);
	await each(200, async () => start(await tcp(shown), LONG));
	await endures(t, at);
});

t.test("one that is a neighbour besides", async (t) => {
	const at = await scene(t);
	const { start, udx, tcp } = thief(t, at);
	start(await udx(letIn("udx")), LONG);
	await until(() => at.box.swarm.neighbours.size === 1);
	for (const length of [LONG, MAX_CHUNK])
		for (const way of [letIn("tcp"), shown])
			await each(60, async () => start(await tcp(way), length));
	await endures(t, at);
});

t.test("two, over UDX and TCP at once", async (t) => {
	const at = await scene(t);
	const attack = async (host: string) => {
		const { start, udx, tcp } = thief(t, at, host);
		await Promise.all([
			each(40, async () => start(await udx(shown), LONG)),
			each(40, async () => start(await udx(letIn("udx")), LONG)),
			each(80, async () => start(await tcp(shown), LONG)),
			each(80, async () => start(await tcp(letIn("tcp")), MAX_CHUNK)),
		]);
	};
	await Promise.all([attack("127.0.0.3"), attack("127.0.0.4")]);
	await endures(t, at);
});

t.test("many, each a neighbour", async (t) => {
	let heard = 0;
	const at = await scene(t, () => heard++);
	const frames: (() => void)[] = [];
	await each(80, async (n) => {
		const { start, udx, tcp } = thief(t, at, HOSTS[n % HOSTS.length]);
		const wire = await udx(letIn("udx"));
		const bulk = await tcp(letIn("tcp"));
		frames.push(() => start(wire, LONG));
		frames.push(() => start(bulk, MAX_CHUNK));
	});
	t.equal(at.box.swarm.neighbours.size, 80);
	for (const frame of frames) frame();
	await until(() => at.box.swarm.refusals.has("crowded"));
	await endures(t, at);
	t.equal(heard, 0);
	const bans = at.region.operator.certify(generateKeyPair());
	const payload = Buffer.alloc(2 * MiB).toString("base64");
	await at.region.box("teller", {
		membership: { currentHead: () => ({ bans: { ...bans, payload } }) },
	});
	await until(() => heard > 0);
	t.pass("a long head comes through");
	t.ok(at.most() < MOST, `${at.most()} bytes at most`);
});
