import t, { type Test } from "tap";
import { Ledger } from "../../src/act/ledger.ts";
import { NeighbourFailed } from "../../src/act/ports.ts";
import { Flow } from "../../src/agent/flow.ts";
import { joinRegion } from "../../src/agent/neighbours.ts";
import { silent } from "../../src/base/log.ts";
import { MINUTE } from "../../src/base/time.ts";
import { leavesBytes } from "../../src/content/geometry.ts";
import type { Purged } from "../../src/control/purges.ts";
import { ShardStore } from "../../src/store/store.ts";
import { seal, trustIn } from "../../src/wire/envelope.ts";
import type { Announcement } from "../../src/wire/head.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { makeTitle, put, type TestTitle, until } from "../fixture.ts";
import { makeRegion } from "../swarm/region.ts";

type Policy = Announcement["policy"]["shareTransient"];

const placed = makeTitle(200_000, 4096, 8, "placed");
const watched = makeTitle(200_000, 4096, 8, "watched");

/** A box as the agent joins it to its region, and a neighbour that asks. */
async function openPair(t: Test, policy: Policy | undefined) {
	const region = await makeRegion(t);
	const { operator } = region;
	const keyPair = generateKeyPair();
	const id = keyPair.publicKey.toString("hex") as BoxId;
	const trust = trustIn(operator.root.publicKey, Date.now);
	const data = t.testdir();
	const store = await ShardStore.open({
		folder: `${data}/shards`,
		capacity: 1e9,
		streamingShare: 1e8,
		log: silent,
	});
	t.teardown(() => store.close());
	const placement = new Set<string>();
	const later = { now: 0, draws: [0, 1] };
	const announcement = policy && {
		network: trust.network,
		region: operator.region,
		epoch: 1,
		version: 1,
		issuedAt: 0,
		catalog: { key: "0".repeat(64), length: 0 },
		policy: { shareTransient: policy },
	};
	const purged: Purged = new Map();
	const ledger = new Ledger();
	const swarm = await joinRegion({
		config: {
			data,
			swarm: {
				bootstrap: [
					{ host: "127.0.0.1", port: Number(region.address.split(":")[1]) },
				],
				host: "127.0.0.1",
				interface: undefined,
				port: 0,
				reach: "direct",
				maxPeers: 8,
				tcp: false,
				tcpPort: 0,
			},
			rates: { up: 0 },
		},
		identity: {
			keyPair,
			region: operator.region,
			networkSecret: operator.networkSecret,
			trust,
			envelope: operator.certify(keyPair),
		},
		store,
		control: {
			standing: { announcement, revoked: new Set(), purged, bans: undefined },
			head: undefined,
			placement: undefined,
			offerHead: () => ({ news: false, refused: [] }),
		},
		holders: {
			bytes: async (title) =>
				seal(operator.signer("placement"), {
					...{ network: trust.network, region: operator.region, title },
					...{ epoch: 1, version: 1, boxes: [], shards: [] },
				}),
		},
		flow: new Flow(ledger.counters),
		ledger,
		isPlaced: (title, shard) =>
			placement.has(shard === undefined ? title : `${title}/${shard}`),
		later: {
			now: () => later.now,
			random: () => later.draws.shift() ?? 1,
			every: 5,
		},
		onGiven() {},
		onMember() {},
		log: silent,
	});
	t.teardown(() => swarm.close());
	const place = (...shards: number[]) => {
		placement.clear();
		if (shards.length > 0) placement.add(placed.id);
		for (const shard of shards) placement.add(`${placed.id}/${shard}`);
	};
	const other = (await region.box("other")).swarm;
	await until(() => other.neighbours.has(id));
	return { id, store, swarm, place, purged, other, later };
}

type Pair = Awaited<ReturnType<typeof openPair>>;

/** What the neighbour is given when it asks for everything of a shard. */
async function given({ id, other }: Pair, title: TestTitle, shard: number) {
	const signal = AbortSignal.timeout(30_000);
	const { blockSize } = title.manifest;
	const got = async (asked: Promise<unknown>) => {
		try {
			await asked;
			return true;
		} catch (error) {
			if (error instanceof NeighbourFailed && error.slug === "not-held")
				return false;
			throw error;
		}
	};
	const run = { shard, first: 0, count: 1 };
	const block = { title: title.id, run, bytes: blockSize, blockSize };
	const bytes = leavesBytes(title.manifest, shard);
	return {
		manifest: await got(other.manifest(title.id, signal)),
		holders: await got(other.holders(title.id, signal)),
		leaves: await got(other.leaves(id, title.id, shard, bytes, signal)),
		block: await got(
			other.blocks(id, { ...block, urgent: true }, () => undefined, signal),
		),
	};
}

const ALL = { manifest: true, holders: true, leaves: true, block: true };
const NONE = { manifest: false, holders: false, leaves: false, block: false };

for (const [policy, shares] of [
	["now", true],
	["later", false],
	["never", false],
	[undefined, false],
] as const)
	t.test(`what was only watched, when the policy is ${policy}`, async (t) => {
		const pair = await openPair(t, policy);
		const { id, store, place, other } = pair;
		place(0, 2);
		await put(store, placed, 0);
		await put(store, placed, 1);
		await put(store, watched, 0);
		await put(store, watched, 1, [3]);
		const told = (title: TestTitle, shard: number) =>
			other.candidates(title.id, shard).length > 0;
		const news: TitleId[] = [];
		other.onNews((title) => news.push(title));
		// Answers come in the order of the questions.
		other.watch(watched.id);
		other.watch(placed.id);
		await until(() => told(placed, 0));
		t.equal(told(placed, 1), shares);
		t.equal(told(watched, 0), shares);
		t.equal(told(watched, 1), shares);

		news.length = 0;
		await put(store, watched, 2);
		await put(store, placed, 2);
		await until(() => told(placed, 2));
		t.equal(told(watched, 2), shares);
		t.equal(news.includes(watched.id), shares, "not even that it changed");

		t.same(await given(pair, placed, 0), ALL);
		const some = { ...ALL, leaves: shares, block: shares };
		t.same(await given(pair, placed, 1), some);
		t.same(await given(pair, watched, 0), shares ? ALL : NONE);
		t.same(await given(pair, makeTitle(9, 4096, 8, "no"), 0), {
			...NONE,
			// The fake book has one of everything.
			holders: shares,
		});
		t.equal(other.neighbours.get(id)?.box, id, "asking is no offence");
	});

t.test("neighbours hear what another placement makes theirs", async (t) => {
	const pair = await openPair(t, "never");
	const { store, swarm, place, other } = pair;
	place(0);
	await put(store, placed, 0);
	await put(store, placed, 1);
	other.watch(placed.id);
	const told = (shard: number) => other.candidates(placed.id, shard).length > 0;
	await until(() => told(0));
	place(1);
	swarm.retell();
	await until(() => told(1));
	t.notOk(told(0));
	place();
	swarm.retell();
	await until(() => !told(1));
});

t.test("what is shared later is told of and given later", async (t) => {
	const pair = await openPair(t, "later");
	const { store, other, later } = pair;
	await put(store, watched, 0);
	await put(store, watched, 1);
	other.watch(watched.id);
	t.same(await given(pair, watched, 0), NONE);
	later.now = 30 * MINUTE;
	await until(() => other.candidates(watched.id, 0).length > 0);
	t.same(other.candidates(watched.id, 1), []);
	t.same(await given(pair, watched, 0), ALL);
	t.same(await given(pair, watched, 1), {
		...ALL,
		leaves: false,
		block: false,
	});
});
