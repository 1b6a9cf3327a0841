// 100,000 mutated frames (`npm run fuzz`; a tenth otherwise) on each channel of an admitted neighbour. The seed is in the name of each test; give it as LARDER_FUZZ_SEED to repeat one.
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import Protomux from "protomux";
import t, { type Test } from "tap";
import { silent } from "../../../src/base/log.ts";
import { openCatalogReader } from "../../../src/logs/reader.ts";
import { openCatalogWriter } from "../../../src/logs/writer.ts";
import { Mux } from "../../../src/swarm/mux.ts";
import { MAX_RUN } from "../../../src/wire/exchange.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import { hold, makeTitle, type TestBox, until } from "../../fixture.ts";
import { entry } from "../../logs/wires.ts";
import { Mutator, share } from "../../mutate.ts";
import { makeRegion, meet, type TestRegion } from "../../swarm/region.ts";
import { openDht, type Rogue, sneakIn } from "../../swarm/stranger.ts";

const FRAMES = share(100_000);
const SEED = Number(process.env["LARDER_FUZZ_SEED"] ?? randomInt(2 ** 31));
/** Frames on their way at a time: what comes after one that ends the connection is lost. */
const BURST = 64;
/** What the box may take more while it is attacked, and the attacker with it, which is in this process too. */
const MOST = 256e6;

t.setTimeout(600_000);
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const title = makeTitle(200_000, 4096, 8);
const { id } = title;

/** Frames that the box has read, of anybody. */
let read = 0;
const onData = Reflect.get(Protomux.prototype, "_ondata");
Reflect.set(Mux.prototype, "_ondata", function (this: Mux, frame: Buffer) {
	read++;
	return onData.call(this, frame);
});

/** Errors that frames met and that are this program's fault, or that of what it builds on. */
const faults: Error[] = [];
const onError = Reflect.get(Mux.prototype, "_safeDestroy");
Reflect.set(Mux.prototype, "_safeDestroy", function (this: Mux, error: Error) {
	if (error instanceof TypeError || error instanceof RangeError)
		faults.push(error);
	return onError.call(this, error);
});

interface Scene {
	readonly region: TestRegion;
	readonly box: TestBox;
	/** Has done so much for the box and with it. */
	readonly honest: () => { blocks: number; failed: number };
	/** Serves the box's catalog on a connection. */
	readonly mirror: (stream: Rogue["stream"]) => void;
	/** Adds to the catalog, and resolves when the box has it. */
	readonly publish: () => Promise<void>;
}

async function scene(t: Test): Promise<Scene> {
	const region = await makeRegion(t);
	const writer = await openCatalogWriter(join(t.testdir(), "writer"), {
		epoch: 1,
	});
	t.teardown(() => writer.close());
	for (let n = 0; n < 50; n++) await writer.put(entry(n));
	const open = async (name: string) => {
		const reader = await openCatalogReader(
			join(t.testdirName, name),
			silent,
			(fault) => void t.comment(fault),
		);
		await reader.follow(writer.key, writer.length);
		t.teardown(() => reader.close());
		return reader;
	};
	const [reader, mirror] = [await open("reader"), await open("mirror")];
	const box = await region.box("box", {
		maxPeers: 256,
		onMember: (stream) => reader.replicate(stream),
	});
	await hold(box, title);
	box.swarm.watch(id);
	const honest = await region.box("honest", {
		onMember: (stream) => writer.replicate(stream),
	});
	await meet(honest, box);
	await until(() => reader.progress.have === writer.length);
	const did = { blocks: 0, failed: 0 };
	const end = new AbortController();
	const request = {
		title: id,
		run: { shard: 0, first: 0, count: MAX_RUN },
		...{ bytes: MAX_RUN * 4096, blockSize: 4096, urgent: true },
	};
	const work = async () => {
		while (!end.signal.aborted) {
			const onBlock = () => did.blocks++;
			await honest.swarm
				.blocks(box.id, request, onBlock, end.signal)
				.catch(() => end.signal.aborted || did.failed++);
			await turn();
		}
	};
	const working = work();
	t.teardown(() => {
		end.abort();
		return working;
	});
	let published = 50;
	return {
		...{ region, box },
		honest: () => ({ ...did }),
		mirror: (stream) => mirror.replicate(stream),
		async publish() {
			await writer.put(entry(published++));
			await until(() => reader.progress.have === writer.length);
		},
	};
}

/** Has the rogue say what an honest neighbour might, on one of the channels. */
type Say = (rogue: Rogue, scene: Scene) => void | Promise<void>;

const NOTHING = new Uint8Array(0);
const CHANNELS: Record<string, Say> = {
	// A hello that follows the first is a lease that was renewed.
	membership: ({ stream }, { region }) => {
		const bans = region.operator.certify(generateKeyPair());
		for (const head of [{ bans }, { bans, announcement: bans }]) {
			const news = encodeMessage({ head });
			stream.write(Buffer.concat([Buffer.from([1, 2]), news]));
		}
		stream.write(Buffer.from([1, 1]));
		const hello = encodeMessage({ v: 1, certificate: bans });
		stream.write(Buffer.concat([Buffer.from([1, 0]), hello]));
	},
	inventory: ({ wants, answers, deltas }) => {
		wants.send(id);
		const shards = new Uint8Array([0b1010]);
		const partial = [{ shard: 2, blocks: new Uint8Array([7]) }];
		answers.send({ title: id, shards, partial });
		deltas.send({ title: id, shard: 300, held: true, blocks: NOTHING });
		deltas.send({ title: id, shard: 1, held: false, blocks: shards });
	},
	exchange: ({ requests, chunks, refusals, cancels }) => {
		const ask = { title: id, shard: 1, first: 2, count: 3, urgent: true };
		// An id that is in use ends the connection.
		for (let n = 1; n < 250; n += 7) {
			requests.send({ ...ask, id: n, wanted: "blocks" });
			requests.send({ ...ask, id: 1000 + n, wanted: "leaves" });
			requests.send({ ...ask, id: 2000 + n, wanted: "manifest" });
			requests.send({ ...ask, id: 3000 + n, wanted: "holders", urgent: false });
			chunks.send({ id: n, offset: 0, total: 4, bytes: new Uint8Array(4) });
			refusals.send({ id: n, reason: "not-held" });
			cancels.send(n);
		}
	},
	catalog: async ({ stream }, { mirror, publish }) => {
		mirror(stream);
		await publish();
	},
};

/** What a channel's frames look like: the first byte names the channel, the second the message. */
async function sample(say: Say, scene: Scene, rogue: Rogue): Promise<Buffer[]> {
	const said: Buffer[] = [];
	const { stream } = rogue;
	// Until then what is said goes out as one batch.
	await turn();
	const write = stream.write;
	stream.write = (frame: Buffer) => {
		said.push(Buffer.from(frame));
		return Reflect.apply(write, stream, [frame]);
	};
	await say(rogue, scene);
	stream.write = write;
	return said;
}

/** The frame but for one to three bits. */
function flipped(mutate: Mutator, frame: Uint8Array): Buffer {
	const other = Buffer.from(frame);
	for (let bits = 1 + mutate.below(3); bits > 0 && other.length > 0; bits--)
		other[mutate.below(other.length)]! ^= 1 << mutate.below(8);
	return other;
}

/** Most stay what they were but for some bits: they get past the reading. */
function mutated(mutate: Mutator, frames: readonly Buffer[]): Buffer {
	const frame = mutate.pick(frames);
	const header = Buffer.from(frame.subarray(0, 2));
	const body = frame.subarray(2);
	const rest = frames.map((other) => other.subarray(2));
	const way = mutate.below(100);
	if (way === 0) return mutate.bytes([frame]);
	if (way === 1 && header[0] !== 0) header[1] = mutate.below(16);
	const hostile =
		way < 4 ? mutate.bytes([body, ...rest]) : flipped(mutate, body);
	return Buffer.concat([header, hostile]);
}

for (const [channel, say] of Object.entries(CHANNELS)) {
	t.test(`${channel}, seed ${SEED}`, async (t) => {
		const at = await scene(t);
		const { region, box } = at;
		const dht = openDht(region);
		t.teardown(() => dht.destroy({ force: true }));
		const mutate = new Mutator(`${SEED}`);
		const come = () => sneakIn(region, box, undefined, dht);
		let rogue = await come();
		const frames = await sample(say, at, rogue);
		await at.publish();
		collect();
		const took = () => {
			const { heapUsed, external } = process.memoryUsage();
			return heapUsed + external;
		};
		const before = {
			memory: took(),
			honest: at.honest(),
			cpu: process.cpuUsage(),
		};
		let sent = 0;
		let comings = 1;
		let most = 0;
		while (sent < FRAMES) {
			if (rogue.stream.destroyed) {
				await rogue.end();
				rogue = await come();
				if (channel === "catalog") at.mirror(rogue.stream);
				comings++;
			}
			const first = read;
			for (let n = 0; n < BURST; n++)
				rogue.stream.write(mutated(mutate, frames));
			const due = read + BURST;
			await until(() => read >= due || rogue.stream.destroyed);
			sent += Math.min(BURST, read - first);
			if (mutate.below(20) === 0) most = Math.max(most, took() - before.memory);
		}
		await rogue.end();
		collect();
		const after = took() - before.memory;
		const { user, system } = process.cpuUsage(before.cpu);
		t.comment({ sent, comings, cpu: (user + system) / 1e6, most, after });
		t.ok(most < MOST, `${most} bytes more at most, ${after} after`);
		const { blocks, failed } = at.honest();
		t.ok(blocks > before.honest.blocks, `${blocks} blocks beside it`);
		t.equal(failed, before.honest.failed);
		await at.publish();
		t.pass("the catalog goes on, too");
		t.same(faults, []);
	});
}
