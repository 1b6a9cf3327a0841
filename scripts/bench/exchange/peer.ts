// One box in a process of its own: store, swarm, fetcher and reconciler of src, wired as the agent wires them, and nothing else.
// Its argument says who it is (PeerSettings); its standard input says what to do (PeerOrder), one JSON object a line.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { Fetcher } from "../../../src/act/fetch/fetcher.ts";
import { Reconciler } from "../../../src/act/fill/reconcile.ts";
import { Room } from "../../../src/act/room.ts";
import { readIdentity } from "../../../src/agent/identity.ts";
import { createLog } from "../../../src/base/log.ts";
import { MINUTE } from "../../../src/base/time.ts";
import type { Bytes } from "../../../src/base/units.ts";
import { blocksIn } from "../../../src/content/geometry.ts";
import { OriginClient } from "../../../src/origin/client.ts";
import { SharedHoldings } from "../../../src/store/holdings.ts";
import { SharedShelf } from "../../../src/store/shelf.ts";
import { ShardStore } from "../../../src/store/store.ts";
import { Swarm } from "../../../src/swarm/swarm.ts";
import { timeOf } from "../../../src/wire/envelope.ts";
import { MAX_RUN } from "../../../src/wire/exchange.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { encodeRanges } from "../../../src/wire/ranges.ts";
import { clock } from "../measure/process.ts";
import { markNow } from "./contestant.ts";

export interface PeerSettings {
	/** A folder that `larder issue` made. */
	readonly box: string;
	readonly store: string;
	readonly capacity: Bytes;
	readonly bootstrap: string;
	readonly transport: "tcp" | "udx";
}

export type PeerOrder =
	/** Says `ready` once a neighbour is there, over the transport that is to be measured. */
	| { readonly do: "meet" }
	| { readonly do: "profile" }
	/** Stops profiling and keeps what was found. */
	| { readonly do: "keep"; readonly profile: string }
	/** Brings a title here as a placement of rank 1 would, and says `first` and `done`. */
	| {
			readonly do: "fill";
			readonly title: TitleId;
			readonly manifest: string;
			/** Process of the neighbour that has it. */
			readonly sender: number;
	  };

const settings = JSON.parse(process.argv[2] ?? "") as PeerSettings;
const say = (event: string, fields: object = {}) =>
	console.log(JSON.stringify({ event, ...fields }));

const log = createLog("peer", "warn");
const identity = await readIdentity(
	join(settings.box, "identity.json"),
	timeOf(Date.now),
);
const { keyPair, region, trust } = identity;
const store = await ShardStore.open({
	folder: settings.store,
	capacity: settings.capacity,
	streamingShare: 0,
	log,
});
let onReceived: () => void = () => undefined;
const swarm = await Swarm.open({
	keyPair,
	networkSecret: identity.networkSecret,
	membership: {
		region,
		trust,
		certificate: () => identity.envelope,
		isRevoked: () => false,
		currentHead: () => undefined,
		near: () => [],
		offerHead: () => undefined,
	},
	dht: {
		bootstrap: [settings.bootstrap],
		host: "127.0.0.1",
		port: 0,
		reach: "direct",
		knownFile: join(settings.box, "known-nodes.json"),
	},
	maxPeers: 64,
	tcp:
		settings.transport === "tcp" ? { host: "127.0.0.1", port: 0 } : undefined,
	up: 0,
	shelf: new SharedShelf(
		store,
		() => true,
		async () => undefined,
		() => undefined,
	),
	holdings: new SharedHoldings(store, () => true),
	onMember: () => undefined,
	onTraffic: (direction) => {
		if (direction === "from") onReceived();
	},
	log,
});
store.onChange(({ title, shard }) => swarm.announce(title, shard));
// Nothing listens there: all that comes, comes from the neighbour.
const origin = new OriginClient({ base: "http://127.0.0.1:9", region });
const ports = {
	store,
	room: new Room({
		...{ store, isPlaced: () => true, log },
		copies: (id, shard) => swarm.copies(id, shard),
	}),
	neighbours: swarm,
	origin,
	holders: { dial: () => undefined, before: () => [] },
	log,
};
const fetcher = new Fetcher({
	...ports,
	pace: () => undefined,
	onWrong: () => log.error({}, "a wrong block came"),
});

/** Reads all that is held, which checks it: libtorrent does the same with a file before it serves any of it. */
async function checkHeld(): Promise<void> {
	for (const title of store.titles()) {
		const inventory = store.inventory(title);
		if (inventory === undefined) continue;
		for (const shard of inventory.held) {
			const count = blocksIn(inventory.geometry, shard);
			for (let first = 0; first < count; first += MAX_RUN) {
				const run = { shard, first, count: Math.min(MAX_RUN, count - first) };
				await store.read(title, run);
			}
		}
	}
}

async function meet(): Promise<void> {
	await checkHeld();
	const met = () =>
		[...swarm.neighbours.values()].some(
			({ best }) => best?.transport === settings.transport,
		);
	while (!met()) await new Promise((resolve) => setTimeout(resolve, 10));
	say("ready");
}

async function fill({
	title,
	manifest: file,
	sender,
}: PeerOrder & { do: "fill" }): Promise<void> {
	const mark = () => markNow(clock(), sender, process.pid);
	const manifest = await store.putManifest(title, await readFile(file));
	onReceived = () => {
		onReceived = () => undefined;
		say("first", { mark: mark() });
	};
	const shards = encodeRanges(manifest.shards.keys());
	const reconciler = new Reconciler({
		...ports,
		fetcher,
		takeover: 10 * MINUTE,
		isPlayed: () => false,
		mayRemove: () => true,
		onRemoved: () => undefined,
		mayFill: () => true,
		isOpen: () => true,
		onProgress: ({ plan }) => {
			if (plan.phase !== "applied") return;
			say("done", { mark: mark() });
			reconciler.close().catch((error: unknown) => {
				log.error({ err: error }, "closing failed");
			});
		},
	});
	reconciler.place([{ id: title, ranks: [{ rank: 1, shards }] }]);
}

const session = new Session();

async function startProfile(): Promise<void> {
	session.connect();
	await session.post("Profiler.enable");
	await session.post("Profiler.setSamplingInterval", { interval: 500 });
	await session.post("Profiler.start");
	say("profiling");
}

async function keepProfile(file: string): Promise<void> {
	const { profile } = await session.post("Profiler.stop");
	await mkdir(dirname(file), { recursive: true });
	await writeFile(file, JSON.stringify(profile));
	say("kept");
}

for await (const line of createInterface({ input: process.stdin })) {
	const order = JSON.parse(line) as PeerOrder;
	switch (order.do) {
		case "meet":
			await meet();
			break;
		case "profile":
			await startProfile();
			break;
		case "keep":
			await keepProfile(order.profile);
			break;
		case "fill":
			await fill(order);
			break;
		default:
			order satisfies never;
	}
}
await fetcher.close();
await swarm.close();
await store.close();
process.exit(0);
