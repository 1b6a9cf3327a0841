// A title made of seeded bytes, an operator, and boxes on loopback: shared by the tests of store, swarm and act.
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import type HyperDHT from "hyperdht";
import { Fetcher, type FetcherOptions } from "../src/act/fetch/fetcher.ts";
import {
	type Progress,
	type ReconcileOptions,
	Reconciler,
} from "../src/act/fill/reconcile.ts";
import { Ledger } from "../src/act/ledger.ts";
import { Audience, type OnWatched } from "../src/act/play/audience.ts";
import { TitleLibrary } from "../src/act/play/library.ts";
import type {
	HolderBook,
	Keys,
	Origin,
	Store,
	TitleKey,
} from "../src/act/ports.ts";
import { Room } from "../src/act/room.ts";
import { LarderError } from "../src/base/errors.ts";
import { createLog, type Log, silent } from "../src/base/log.ts";
import {
	applyCipher,
	freshCipher,
	type TitleCipher,
} from "../src/content/cipher.ts";
import {
	blocksIn,
	type Geometry,
	shardBytes,
	shardCount,
	shardSize,
} from "../src/content/geometry.ts";
import {
	commitmentOf,
	leafOf,
	shardHashOf,
	titleIdOf,
} from "../src/content/hash.ts";
import { encodeManifest, type Manifest } from "../src/content/manifest.ts";
import {
	type VerifiedBlock,
	type VerifiedLeaves,
	verifyBlock,
	verifyLeaves,
} from "../src/content/verify.ts";
import { OriginClient } from "../src/origin/client.ts";
import { VIEWER_PATIENCE, type ViewerPatience } from "../src/plan/source.ts";
import { SharedHoldings } from "../src/store/holdings.ts";
import { SharedShelf } from "../src/store/shelf.ts";
import { ShardStore } from "../src/store/store.ts";
import { openBootstrapNode } from "../src/swarm/dht.ts";
import { Swarm, type SwarmOptions } from "../src/swarm/swarm.ts";
import type { Shelf } from "../src/swarm/upload.ts";
import type { CatalogEntry } from "../src/wire/catalog.ts";
import {
	type Envelope,
	grantKey,
	type Purpose,
	parseEnvelope,
	type Signer,
	seal,
	trustIn,
} from "../src/wire/envelope.ts";
import type { BoxId, Region, TitleId } from "../src/wire/ids.ts";
import { generateKeyPair, type KeyPair } from "../src/wire/keys.ts";
import type { Certificate } from "../src/wire/membership.ts";

/** Say LARDER_TEST_LOG=debug to see what the boxes of a test do. */
const level = process.env["LARDER_TEST_LOG"];
const usual = level === "debug" ? createLog("test", "debug") : silent;

export interface TestTitle {
	readonly id: TitleId;
	readonly manifest: Manifest;
	readonly manifestBytes: Buffer;
	readonly plaintext: Buffer;
	readonly cipher: TitleCipher;
	/** Shard files as they lie at the origin: blocks, then leaves. */
	readonly shardFiles: readonly Buffer[];
}

/** Pseudo-random bytes that are the same in every run. */
export function seeded(seed: string, length: number): Buffer {
	const parts: Buffer[] = [];
	for (let i = 0; parts.length * 32 < length; i++) {
		parts.push(createHash("sha256").update(`${seed}/${i}`).digest());
	}
	return Buffer.concat(parts).subarray(0, length);
}

export function makeTitle(
	size: number,
	blockSize = 4096,
	shardBlocks = 8,
	seed = "title",
): TestTitle {
	const plaintext = seeded(seed, size);
	const cipher = freshCipher();
	const geometry: Geometry = { size, blockSize, shardBlocks };
	const shardFiles: Buffer[] = [];
	for (let shard = 0; shard < shardCount(geometry); shard++) {
		const start = shard * shardSize(geometry);
		const bytes = applyCipher(
			cipher,
			start,
			plaintext.subarray(start, start + shardBytes(geometry, shard)),
		);
		const leaves: Buffer[] = [];
		for (let block = 0; block < blocksIn(geometry, shard); block++) {
			leaves.push(
				leafOf(bytes.subarray(block * blockSize, (block + 1) * blockSize)),
			);
		}
		shardFiles.push(Buffer.concat([bytes, ...leaves]));
	}
	const half = Math.floor(size / 2);
	const manifest: Manifest = {
		v: 1,
		files: [
			{ path: "a.mp4", offset: 0, length: half, type: "video/mp4" },
			{ path: "b.mp4", offset: half, length: size - half, type: "video/mp4" },
		],
		size,
		blockSize,
		shardBlocks,
		shards: shardFiles.map((file, shard) =>
			shardHashOf(file.subarray(shardBytes(geometry, shard))),
		),
		cipher: {
			name: "chacha20",
			nonce: cipher.nonce.toString("hex"),
			keyCommitment: commitmentOf(cipher.key),
		},
	};
	const manifestBytes = encodeManifest(manifest);
	return {
		id: titleIdOf(manifestBytes),
		manifest,
		manifestBytes,
		plaintext,
		cipher,
		shardFiles,
	};
}

export interface TestOperator {
	readonly root: KeyPair;
	readonly region: Region;
	readonly networkSecret: Buffer;
	signer(purpose: Purpose): Signer;
	/** @param signer who signs it, if not the operator's issuer */
	certify(
		key: KeyPair,
		changes?: Partial<Certificate>,
		signer?: Signer,
	): Envelope;
}

export function makeOperator(): TestOperator {
	const root = generateKeyPair();
	const trust = trustIn(root.publicKey, Date.now);
	const region = "test-1" as Region;
	const signer = (purpose: Purpose): Signer => {
		const pair = generateKeyPair();
		const grant = grantKey(root, {
			purpose,
			key: pair.publicKey.toString("hex"),
			serial: 1,
			notBefore: 0,
			notAfter: Date.now() + 1e9,
		});
		return { purpose, pair, grant };
	};
	const issuer = signer("issuer");
	return {
		root,
		region,
		networkSecret: randomBytes(32),
		signer,
		certify(key, changes = {}, signer = issuer) {
			const bytes = seal(signer, {
				network: trust.network,
				region,
				box: key.publicKey.toString("hex"),
				role: "box",
				serial: "test",
				notBefore: 0,
				notAfter: Date.now() + 1e9,
				...changes,
			});
			const parsed = parseEnvelope(JSON.parse(bytes.toString()));
			if (!parsed.ok) throw new Error(parsed.detail);
			return parsed.value;
		},
	};
}

export interface TestBox {
	readonly id: BoxId;
	readonly store: ShardStore;
	readonly swarm: Swarm;
	readonly room: Room;
	readonly fetcher: Fetcher;
	readonly reconciler: Reconciler;
	readonly library: TitleLibrary;
	readonly audience: Audience;
	readonly ledger: Ledger;
	/** What the reconcile loop saw last. */
	readonly progress: () => Progress | undefined;
	readonly traffic: { from: number; to: number; wrong: number };
	close(): Promise<void>;
}

export interface BoxSettings {
	readonly folder: string;
	/** Told of what was watched. */
	readonly onWatched?: OnWatched;
	readonly operator: TestOperator;
	readonly bootstrap: readonly string[];
	readonly origin: Origin;
	readonly tcp?: boolean;
	/** Where its UDP comes from, and neighbours dial TCP, which listens on 127.0.0.1 all the same. */
	readonly host?: string;
	/** Where it listens for TCP, which others dial where its UDP comes from. */
	readonly tcpHost?: string;
	readonly maxPeers?: number;
	readonly reach?: "direct" | "nat";
	readonly key?: KeyPair;
	readonly certificate?: Envelope;
	/** Changes what this box gives to neighbours: for liars. */
	readonly spoil?: (bytes: Buffer, block: number) => Buffer | undefined;
	/** What this box gives instead of what it would: for other liars. */
	readonly shelf?: (honest: Shelf) => Partial<Shelf>;
	readonly membership?: Partial<SwarmOptions["membership"]>;
	readonly onMember?: SwarmOptions["onMember"];
	readonly holders?: HolderBook;
	readonly takeover?: number;
	readonly mayFill?: () => boolean;
	readonly pace?: FetcherOptions["pace"];
	readonly isOpen?: ReconcileOptions["isOpen"];
	readonly patience?: ViewerPatience;
	readonly capacity?: number;
	readonly streamingShare?: number;
	/** Bytes a second to neighbours. */
	readonly up?: number;
	/** Titles that the catalog lists and that this box has the keys of. */
	readonly titles?: readonly TestTitle[];
	/** Playing time of each title in seconds; not known by default. */
	readonly duration?: number;
	readonly keys?: Keys;
	readonly isPurged?: (id: TitleId) => boolean;
	readonly mayRemove?: (id: TitleId) => boolean;
	/** Stands between the box and its disk: for disks that fail. */
	readonly disk?: (store: ShardStore) => Store;
	readonly log?: Log;
}

const NO_HOLDERS: HolderBook = { dial: () => undefined, before: () => [] };

export async function makeBox(settings: BoxSettings): Promise<TestBox> {
	const { folder, operator, bootstrap, origin, log = usual } = settings;
	const key = settings.key ?? generateKeyPair();
	const store = await ShardStore.open({
		folder: join(folder, "shards"),
		capacity: settings.capacity ?? 1e9,
		streamingShare: settings.streamingShare ?? 2e8,
		log,
	});
	const disk = settings.disk?.(store) ?? store;
	let filling: Reconciler | undefined;
	const room = new Room({
		store: disk,
		isPlaced: (id, shard) => filling?.isPlaced(id, shard) ?? false,
		copies: (id, shard) => swarm.copies(id, shard),
		log,
	});
	const shelf = new SharedShelf(
		store,
		() => true,
		async () => undefined,
		(id) => room.gave(id),
	);
	const given: Shelf = {
		holders: (id) => shelf.holders(id),
		manifest: (id) => shelf.manifest(id),
		leaves: (id, shard) => shelf.leaves(id, shard),
		blocks: async (id, shard, first, count) => {
			const answer = await shelf.blocks(id, shard, first, count);
			const sent = answer && settings.spoil?.(answer.bytes, first);
			return answer && settings.spoil
				? sent && { ...answer, bytes: sent }
				: answer;
		},
	};
	const traffic = { from: 0, to: 0, wrong: 0 };
	const ledger = new Ledger();
	const certificate = settings.certificate ?? operator.certify(key);
	const swarm: Swarm = await Swarm.open({
		keyPair: key,
		networkSecret: operator.networkSecret,
		membership: {
			region: operator.region,
			trust: trustIn(operator.root.publicKey, Date.now),
			certificate: () => certificate,
			isRevoked: () => false,
			currentHead: () => undefined,
			near: () => [],
			offerHead: () => undefined,
			...settings.membership,
		},
		dht: {
			bootstrap,
			host: settings.host ?? "127.0.0.1",
			port: 0,
			reach: settings.reach ?? "direct",
			knownFile: join(folder, "known.json"),
		},
		maxPeers: settings.maxPeers ?? 16,
		tcp:
			settings.tcp === false
				? undefined
				: { host: settings.tcpHost ?? "127.0.0.1", port: 0 },
		up: settings.up ?? 0,
		shelf: { ...given, ...settings.shelf?.(given) },
		holdings: new SharedHoldings(store, () => true),
		onMember: settings.onMember ?? (() => undefined),
		onTraffic: (direction, bytes, level) => {
			traffic[direction] += bytes;
			if (direction === "from") ledger.cameFrom(level, bytes);
		},
		log,
	});
	store.onChange(({ title, shard }) => swarm.announce(title, shard));
	const { holders = NO_HOLDERS, patience = VIEWER_PATIENCE } = settings;
	const shared = { room, neighbours: swarm, origin, holders, log };
	const common = { store: disk, ...shared };
	const fetcher = new Fetcher({
		...common,
		pace: settings.pace ?? (() => undefined),
		patience,
		onWrong: () => {
			traffic.wrong++;
		},
	});
	const { titles = [], duration = 0 } = settings;
	const catalog = titles.map((title) => entryOf(title, duration));
	const audience = new Audience(settings.onWatched ?? (() => undefined));
	const library = new TitleLibrary({
		...common,
		audience,
		fetcher,
		ledger,
		keys: settings.keys ?? keysOf(titles),
		catalog: {
			list: async () => catalog,
			get: async (id) => catalog.find((entry) => entry.id === id),
		},
		isPurged: settings.isPurged ?? (() => false),
		startLimit: patience.giveUp,
	});
	let progress: Progress | undefined;
	const reconciler = new Reconciler({
		...common,
		fetcher,
		takeover: settings.takeover ?? 60_000,
		mayFill: settings.mayFill ?? (() => true),
		isOpen: settings.isOpen ?? (() => true),
		isPlayed: (id) => library.isOpen(id),
		onProgress: (seen) => {
			progress = seen;
		},
		mayRemove: settings.mayRemove ?? (() => true),
		onRemoved: () => undefined,
	});
	filling = reconciler;
	return {
		id: key.publicKey.toString("hex") as BoxId,
		store,
		swarm,
		room,
		fetcher,
		reconciler,
		library,
		audience,
		ledger,
		traffic,
		progress: () => progress,
		async close() {
			await library.close();
			audience.close();
			await reconciler.close();
			await fetcher.close();
			await swarm.close();
			await store.close();
		},
	};
}

function keysOf(titles: readonly TestTitle[]): Keys {
	return {
		open: async (id) => {
			const title = titles.find((candidate) => candidate.id === id);
			if (title !== undefined) return keyOf(title);
			throw new LarderError("TITLE_KEY_DENIED", "not this box");
		},
	};
}

/** A key that lasts. */
export function keyOf(
	{ cipher }: TestTitle,
	{ signal } = new AbortController(),
): TitleKey {
	return {
		ended: signal,
		decipher(offset, bytes) {
			signal.throwIfAborted();
			return applyCipher(cipher, offset, bytes);
		},
		close() {},
	};
}

function entryOf({ id, manifest }: TestTitle, duration: number): CatalogEntry {
	const name = id.slice(0, 8);
	const labels = { kind: "title", assetId: name, version: 1, name } as const;
	return { id, ...labels, duration, size: manifest.size };
}

/** One DHT node on loopback. */
export async function makeBootstrap(): Promise<{
	node: HyperDHT;
	address: string;
}> {
	const probe = createSocket("udp4");
	await new Promise<void>((resolve) => probe.bind(0, "127.0.0.1", resolve));
	const { port } = probe.address();
	await new Promise<void>((resolve) => probe.close(() => resolve()));
	const node = await openBootstrapNode("127.0.0.1", port, []);
	return { node, address: `127.0.0.1:${node.address().port}` };
}

/** Blocks of a shard with their indices, verified. */
export function blocksOf(
	title: TestTitle,
	shard: number,
): { leaves: VerifiedLeaves; blocks: VerifiedBlock[] } {
	const { manifest } = title;
	const file = title.shardFiles[shard]!;
	const end = shardBytes(manifest, shard);
	const leaves = verifyLeaves(
		manifest,
		manifest.shards,
		shard,
		file.subarray(end),
	)!;
	const blocks = Array.from(
		{ length: blocksIn(manifest, shard) },
		(_, block) => {
			const at = block * manifest.blockSize;
			const bytes = file.subarray(at, Math.min(end, at + manifest.blockSize));
			return verifyBlock(manifest, leaves, shard, block, bytes)!;
		},
	);
	return { leaves, blocks };
}

/** Writes blocks of a shard straight into a store; all of them unless some are named. */
export async function put(
	store: ShardStore,
	title: TestTitle,
	shard: number,
	wanted?: readonly number[],
): Promise<void> {
	const { leaves, blocks } = blocksOf(title, shard);
	await store.putManifest(title.id, title.manifestBytes);
	await store.putLeaves(title.id, shard, leaves);
	for (const [block, bytes] of blocks.entries()) {
		if (wanted?.includes(block) === false) continue;
		await store.putBlock(title.id, shard, block, bytes);
	}
}

/** Puts a whole title on a box's disk. */
export async function hold(
	box: TestBox,
	title: TestTitle,
	shards?: readonly number[],
): Promise<void> {
	for (const shard of shards ?? title.manifest.shards.keys()) {
		await put(box.store, title, shard);
	}
}

export interface TestOrigin {
	readonly origin: Origin;
	readonly server: Server;
	/** Bytes of shard files sent. */
	sent(): number;
	close(): void;
}

/** An HTTP origin with the titles given. */
export async function makeOrigin(...titles: TestTitle[]): Promise<TestOrigin> {
	let sent = 0;
	const server = createServer((request, response) => {
		const [, id, name] = (request.url ?? "").split("/");
		const title = titles.find((candidate) => candidate.id === id);
		if (title === undefined || name === undefined) {
			response.writeHead(404).end();
			return;
		}
		if (name === "manifest") {
			response.end(title.manifestBytes);
			return;
		}
		const file = title.shardFiles[Number(name)];
		const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
		if (file === undefined || range === null) {
			response.writeHead(404).end();
			return;
		}
		const part = file.subarray(Number(range[1]), Number(range[2]) + 1);
		sent += part.length;
		response.writeHead(206, {
			"content-length": part.length,
			"content-range": `bytes ${range[1]}-${range[2]}/${file.length}`,
		});
		response.end(part);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	const port = typeof address === "object" && address ? address.port : 0;
	return {
		server,
		origin: new OriginClient({
			base: `http://127.0.0.1:${port}`,
			region: "test-1" as Region,
		}),
		sent: () => sent,
		close: () => {
			server.closeAllConnections();
			server.close();
		},
	};
}

/** Resolves when `check` holds, looking again every few milliseconds; the runner's own time limit ends it. */
export async function until(check: () => boolean): Promise<void> {
	while (!check()) await new Promise((resolve) => setTimeout(resolve, 5));
}
