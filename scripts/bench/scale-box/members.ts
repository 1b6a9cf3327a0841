// Many members of a region in one process, each a swarm of src over sockets of its own, without a disk: all of them have one title whole.
// Its argument says who they are (MembersSettings); its standard input says what to do (MembersOrder), one JSON object a line.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NeighbourFailed } from "../../../src/act/ports.ts";
import { readIdentity } from "../../../src/agent/identity.ts";
import { silent } from "../../../src/base/log.ts";
import { SECOND } from "../../../src/base/time.ts";
import { Bitfield } from "../../../src/content/bitfield.ts";
import {
	DEFAULT_BLOCK_SIZE,
	DEFAULT_SHARD_BLOCKS,
} from "../../../src/content/geometry.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import { openOperator } from "../../../src/headend/operator/operator.ts";
import type { Holdings } from "../../../src/swarm/inventory.ts";
import { Swarm } from "../../../src/swarm/swarm.ts";
import type { Shelf } from "../../../src/swarm/upload.ts";
import { timeOf } from "../../../src/wire/envelope.ts";
import { MAX_RUN } from "../../../src/wire/exchange.ts";
import type { BoxId, TitleId } from "../../../src/wire/ids.ts";
import { MAX_INTERESTS } from "../../../src/wire/inventory.ts";
import { clock } from "../measure/process.ts";

export interface MembersSettings {
	/** The operator's folder, and one for what members need. */
	readonly operator: string;
	readonly dir: string;
	readonly count: number;
	/** The box that all of them look at. */
	readonly box: BoxId;
	/** The title that they have, how many shards it has, and one of those, which are all the same, with its leaves behind. */
	readonly title: TitleId;
	readonly shards: number;
	readonly manifest: string;
	readonly shard: string;
	/** Shards of it that the box has from the start, for members to fetch. */
	readonly held: number;
}

export type MembersOrder =
	/** Each dials the box; says `met` with how many have a bulk connection to it, all or those that it let in in time. */
	| { readonly do: "meet" }
	/** Each asks the box about so many of these titles, others than the next one does, and says `told` once it heard of all. */
	| { readonly do: "want"; readonly titles: readonly TitleId[] }
	/** Each fetches from the box, again and again, and tells it of its own title four times a second. */
	| { readonly do: "load" }
	/** Says `rested` with how many bytes all of them got. */
	| { readonly do: "rest" };

/** Whoever the box has not let in by then, it does not want: it closes neighbours when its memory is short. */
const MEET_LIMIT = 90 * SECOND;

const settings = JSON.parse(process.argv[2] ?? "") as MembersSettings;
const { box, title, shards } = settings;
const say = (event: string, fields: object = {}) =>
	console.log(JSON.stringify({ event, ...fields }));

const whole = await readFile(settings.shard);
const blocks = whole.subarray(0, DEFAULT_BLOCK_SIZE * DEFAULT_SHARD_BLOCKS);
const leaves = whole.subarray(blocks.length);
const manifest = await readFile(settings.manifest);
const all = new Bitfield(shards);
for (let shard = 0; shard < shards; shard++) all.add(shard);

const shelf: Shelf = {
	manifest: async (id) => (id === title ? manifest : undefined),
	holders: async () => undefined,
	leaves: async (id) => (id === title ? leaves : undefined),
	blocks: async (id, _shard, first, count) => {
		if (id !== title) return undefined;
		const start = first * DEFAULT_BLOCK_SIZE;
		const bytes = blocks.subarray(start, start + count * DEFAULT_BLOCK_SIZE);
		return { bytes, blockSize: DEFAULT_BLOCK_SIZE };
	},
};
const holdings: Holdings = {
	holding: (id) => ({
		...{ title: id, partial: [] },
		shards: id === title ? all.bytes : new Uint8Array(0),
	}),
	change: (id, shard) => ({
		...{ title: id, shard, held: id === title },
		blocks: new Uint8Array(0),
	}),
};

async function open(n: number): Promise<Swarm> {
	const operator = await openOperator(settings.operator);
	const dir = join(settings.dir, `member-${n}`);
	await issueBox(operator, { serial: `member-${n}`, dir });
	const identity = await readIdentity(
		join(dir, "identity.json"),
		timeOf(Date.now),
	);
	return await Swarm.open({
		keyPair: identity.keyPair,
		networkSecret: identity.networkSecret,
		membership: {
			region: identity.region,
			trust: identity.trust,
			certificate: () => identity.envelope,
			isRevoked: () => false,
			currentHead: () => undefined,
			near: () => [],
			offerHead: () => undefined,
		},
		dht: {
			bootstrap: operator.config.swarm.bootstrap,
			host: "127.0.0.1",
			port: 0,
			reach: "direct",
			knownFile: join(dir, "known-nodes.json"),
		},
		// It is there for the box, not for the other members.
		maxPeers: 2,
		tcp: { host: "127.0.0.1", port: 0 },
		up: 0,
		...{ shelf, holdings },
		onMember: () => undefined,
		onTraffic: () => undefined,
		log: silent,
	});
}

const swarms: Swarm[] = [];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function meet(): Promise<void> {
	for (let n = 0; n < settings.count; n++) swarms.push(await open(n));
	const missing = () =>
		swarms.filter((swarm) => swarm.neighbours.get(box)?.bulk === undefined);
	const end = clock() + MEET_LIMIT;
	for (let left = missing(); left.length > 0; left = missing()) {
		if (clock() > end) break;
		for (const swarm of left) swarm.dial([box]);
		await pause(SECOND / 4);
	}
	say("met", { met: swarms.length - missing().length });
}

async function want(titles: readonly TitleId[]): Promise<void> {
	const waiting: Promise<void>[] = [];
	for (const [n, swarm] of swarms.entries()) {
		if (!swarm.neighbours.has(box)) continue;
		const asked = new Set<TitleId>();
		for (let i = 0; i < MAX_INTERESTS - 1; i++) {
			const id = titles[(n * MAX_INTERESTS + i) % titles.length];
			if (id !== undefined) asked.add(id);
		}
		const { promise, resolve } = Promise.withResolvers<void>();
		waiting.push(promise);
		swarm.onNews((id) => {
			asked.delete(id);
			if (asked.size === 0) resolve();
		});
		for (const id of asked) swarm.watch(id);
		swarm.watch(title);
	}
	await Promise.race([Promise.all(waiting), pause(MEET_LIMIT)]);
	say("told");
}

let got = 0;
/** Why the box gave nothing, by slug. */
const failed = new Map<string, number>();
let loading = new AbortController();
let loaders: Promise<void>[] = [];

/** One member's load; never rejects. */
async function fetchOn(swarm: Swarm, n: number): Promise<void> {
	const { signal } = loading;
	const count = MAX_RUN;
	for (let turn = n; !signal.aborted; turn++) {
		const shard = turn % settings.held;
		const first = (turn * count) % DEFAULT_SHARD_BLOCKS;
		const run = { shard, first, count };
		const bytes = count * DEFAULT_BLOCK_SIZE;
		try {
			await swarm.blocks(
				box,
				{ title, run, bytes, blockSize: DEFAULT_BLOCK_SIZE, urgent: false },
				(_, block) => {
					got += block.length;
				},
				signal,
			);
		} catch (error) {
			const slug = error instanceof NeighbourFailed ? error.slug : "stopped";
			failed.set(slug, (failed.get(slug) ?? 0) + 1);
			// Refused, or timed out in a queue of sixty-four: it asks again as a box would.
			await pause(SECOND);
		}
	}
}

async function announceOn(swarm: Swarm): Promise<void> {
	for (let shard = 0; !loading.signal.aborted; shard++) {
		swarm.announce(title, shard % shards);
		await pause(SECOND / 4);
	}
}

function load(): void {
	loading = new AbortController();
	got = 0;
	loaders = swarms.flatMap((swarm, n) => [
		fetchOn(swarm, n),
		announceOn(swarm),
	]);
	say("loading");
}

async function rest(): Promise<void> {
	loading.abort();
	await Promise.all(loaders);
	say("rested", { got, failed: Object.fromEntries(failed) });
}

for await (const line of createInterface({ input: process.stdin })) {
	const order = JSON.parse(line) as MembersOrder;
	switch (order.do) {
		case "meet":
			await meet();
			break;
		case "want":
			await want(order.titles);
			break;
		case "load":
			load();
			break;
		case "rest":
			await rest();
			break;
		default:
			order satisfies never;
	}
}
await Promise.all(swarms.map((swarm) => swarm.close()));
process.exit(0);
