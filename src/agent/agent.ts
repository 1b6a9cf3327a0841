import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { Fetcher } from "../act/fetcher.ts";
import { Ledger } from "../act/ledger.ts";
import { TitleLibrary } from "../act/library.ts";
import { Pacer } from "../act/pacer.ts";
import { Reconciler } from "../act/reconcile.ts";
import { Room } from "../act/room.ts";
import { LarderError } from "../base/errors.ts";
import { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { BrokerAccess } from "../control/connection.ts";
import { Control, type Order } from "../control/control.ts";
import type { Desired } from "../control/desired.ts";
import type { SignedHead } from "../control/heads.ts";
import { startGateway } from "../gateway/server.ts";
import { startIpc } from "../ipc/server.ts";
import { openCatalogReader } from "../logs/reader.ts";
import { OriginClient } from "../origin/client.ts";
import { SharedHoldings } from "../store/holdings.ts";
import { lockFolder } from "../store/lock.ts";
import { SharedShelf } from "../store/shelf.ts";
import { ShardStore } from "../store/store.ts";
import { Swarm } from "../swarm/swarm.ts";
import { parseEnvelope } from "../wire/envelope.ts";
import type { TitleId } from "../wire/ids.ts";
import { encodeMessage } from "../wire/json.ts";
import { type Config, loadConfig } from "./config.ts";
import { Holders } from "./holders.ts";
import { readIdentity } from "./identity.ts";
import { TitleKeys } from "./keys.ts";
import { createRegistry } from "./metrics.ts";
import { createNotifier } from "./notify.ts";
import { Reporter } from "./reporter.ts";
import { resolveQuota } from "./space.ts";
import { diagnose, statusOf } from "./status.ts";
import { watchConfig } from "./watch.ts";

/** How long a part may take to close before it is named; the whole is to take less than 5 s. */
const PATIENCE = SECOND;

export interface Agent {
	readonly gatewayPort: number;
	close(): Promise<void>;
}

/**
 * Starts a box: opens every part in order and wires them. Nothing here decides anything about titles.
 * Throws CONFIG_INVALID, IDENTITY_*, NO_BOOTSTRAP, BOX_BUSY, PORT_TAKEN, STORE_UNUSABLE or NOTIFY_FAILED.
 * @param onFatal the agent cannot go on and should be ended loudly
 */
export async function startAgent(
	configPath: string,
	log: Log,
	onFatal: (error: LarderError) => void,
): Promise<Agent> {
	const started = Date.now();
	const config = await loadConfig(configPath);
	log.level = config.logLevel;
	const identity = await readIdentity(config.identity, Date.now);
	const { boxId, region, trust, keyPair } = identity;
	const parts = new ServiceGroup(PATIENCE, (name) =>
		log.warn({ part: name }, "slow to close"),
	);
	const ledger = new Ledger();
	const { counters } = ledger;
	try {
		const quota = await resolveQuota(config);
		// Before anything is looked at: taking stock clears away what is being written.
		parts.add("lock", await lockFolder(config.data, "BOX_BUSY"));
		const folder = join(config.data, "shards");
		const store = await ShardStore.open({ folder, ...quota, log });
		parts.add("store", store);

		const down = new Pacer(config.rates.down);
		const trunk = new Pacer(config.rates.origin);
		const origin = new OriginClient({
			base: config.origin.url,
			region,
			pace: async (bytes) => {
				await trunk.take(bytes, false);
				await down.take(bytes, false);
			},
			onBytes: (bytes) => {
				counters.fromOrigin += bytes;
			},
		});
		parts.add("origin", origin);
		const catalog = parts.add(
			"catalog",
			await openCatalogReader(join(config.data, "catalog"), log),
		);

		// Messages may come before every part is there; they wait for it.
		const wired = Promise.withResolvers<{
			placement(desired: Desired): void;
			head(head: SignedHead): void;
			order(order: Order): void;
		}>();
		const control = await Control.start({
			box: boxId,
			region,
			trust,
			...(await brokerAccess(config)),
			version: pkg.version,
			power: "active",
			reach: config.swarm.reach,
			folder: join(config.data, "control"),
			fetchRef: (path, limit, signal) => origin.file(path, limit, signal),
			handlers: {
				placement: (desired) =>
					void wired.promise.then((to) => to.placement(desired)),
				head: (head) => void wired.promise.then((to) => to.head(head)),
				order: async (order) => (await wired.promise).order(order),
			},
			log,
		});
		parts.add("control", control);

		let swarm: Swarm;
		const holders = new Holders({
			folder: join(config.data, "holders"),
			region,
			trust,
			origin,
			neighbours: () => swarm,
			log,
		});
		const isPlaced = (id: TitleId, shard: number) =>
			reconciler.isPlaced(id, shard);
		const isShared = (id: TitleId, shard: number) =>
			control.last().head?.head.policy.shareTransient !== "never" ||
			isPlaced(id, shard);
		const room = new Room(store, isPlaced, log);
		swarm = await Swarm.open({
			keyPair,
			networkSecret: identity.networkSecret,
			membership: {
				region,
				trust,
				certificate: identity.envelope,
				isRevoked: (box) =>
					control.last().head?.head.revoked.includes(box) ?? false,
				currentHead: () => envelopeOf(control.last().head),
				offerHead: (head) => {
					control.offerHead(encodeMessage(head)).then(
						(taken) => {
							if (!taken.ok) log.debug({ slug: taken.reason }, "head refused");
						},
						(error: unknown) => log.error({ err: error }, "a head was lost"),
					);
				},
			},
			dht: {
				bootstrap: config.swarm.bootstrap.map(
					({ host, port }) => `${host}:${port}`,
				),
				host: config.swarm.host,
				port: config.swarm.port,
				reach: config.swarm.reach,
				knownFile: join(config.data, "known-nodes.json"),
			},
			maxPeers: config.swarm.maxPeers,
			tcp: config.swarm.tcp
				? { port: config.swarm.tcpPort, host: config.swarm.tcpHost }
				: undefined,
			up: config.rates.up,
			shelf: new SharedShelf(store, isShared, (id) => holders.bytes(id)),
			holdings: new SharedHoldings(store, isShared),
			onMember: (stream) => catalog.replicate(stream),
			onTraffic: (direction, bytes) => {
				if (direction === "from") counters.fromNeighbours += bytes;
				else counters.toNeighbours += bytes;
			},
			log,
		});
		parts.add("swarm", swarm);
		store.onChange(({ title, shard }) => swarm.announce(title, shard));

		const fetcher = new Fetcher({
			store,
			room,
			neighbours: swarm,
			origin,
			takeover: config.fill.takeover,
			pace: (bytes, urgent) => down.take(bytes, urgent),
			dialHolders: (id, shard) => holders.dial(id, shard),
			onWrong: () => {
				counters.wrongBlocks++;
			},
			log,
		});
		parts.add("fetcher", fetcher);
		const notifier = createNotifier(onFatal);
		parts.onClose("notifier", () => notifier.close());
		const reporter: Reporter = new Reporter({
			store,
			room,
			swarm,
			control,
			ledger,
			notifier,
			log,
		});
		parts.add("reporter", reporter);
		const reconciler: Reconciler = new Reconciler({
			store,
			neighbours: swarm,
			origin,
			fetcher,
			onProgress: (progress) => reporter.progressed(progress),
			log,
		});
		parts.add("reconciler", reconciler);
		const keys = new TitleKeys(
			join(config.data, "keys"),
			keyPair,
			(id, signal) => control.key(id, signal),
			log,
		);
		const library = new TitleLibrary({
			store,
			neighbours: swarm,
			origin,
			fetcher,
			room,
			ledger,
			keys,
			catalog,
		});
		parts.add("library", library);

		const follow = ({ head }: SignedHead) => {
			catalog
				.follow(head.catalog.key, head.catalog.length)
				.catch((error: unknown) => {
					log.error({ err: error }, "the catalog cannot be followed");
				});
			swarm.headChanged();
		};
		const apply = (desired: Desired) => {
			reporter.accepted(desired);
			reconciler.desire({ titles: [...desired.titles] });
		};
		const { placement, head } = control.last();
		if (head !== undefined) follow(head);
		if (placement !== undefined) apply(placement);
		wired.resolve({
			placement: apply,
			head: follow,
			order: (order) => {
				if (order.kind === "log-level") log.level = order.level;
			},
		});

		const gateway = await startGateway({
			...config.gateway,
			library,
			registry: createRegistry(ledger, store, () => swarm),
			ready: () => ({ ready: true, why: "" }),
			log,
		});
		parts.add("gateway", gateway);
		const restartFor = new Set<string>();
		const seen = {
			config,
			identity,
			swarm,
			control,
			reporter,
			library,
			ledger,
			started,
			restartFor,
		};
		parts.add(
			"ipc",
			await startIpc({
				socket: config.ipc.socket,
				handlers: {
					status: () => statusOf(seen),
					doctor: async () => ({ checks: await diagnose(seen) }),
				},
				log,
			}),
		);
		parts.add(
			"config watch",
			await watchConfig(
				configPath,
				config,
				({ config: changed, restart }) => {
					log.level = changed.logLevel;
					swarm.pacer.rate = changed.rates.up;
					down.rate = changed.rates.down;
					trunk.rate = changed.rates.origin;
					for (const key of restart) restartFor.add(key);
					log.info({ restart }, "configuration changed");
				},
				(error) => log.error({ err: error }, "configuration not taken"),
			),
		);
		await notifier.ready();
		parts.onClose("goodbye", () => notifier.stopping());
		log.info(
			{
				box: boxId,
				region,
				gateway: gateway.port,
				udp: swarm.dhtPort,
				tcp: swarm.tcpPort,
				startedIn: Date.now() - started,
			},
			"ready",
		);
		return { gatewayPort: gateway.port, close: () => parts.close() };
	} catch (error) {
		await parts.close();
		throw error;
	}
}

function envelopeOf(head: SignedHead | undefined) {
	if (head === undefined) return undefined;
	const read = parseEnvelope(JSON.parse(head.bytes.toString("utf8")));
	return read.ok ? read.value : undefined;
}

async function brokerAccess({ broker }: Config): Promise<BrokerAccess> {
	const { url, username, passwordFile } = broker;
	if (username === undefined) return { url };
	if (passwordFile === undefined) return { url, username };
	try {
		const password = (await readFile(passwordFile, "utf8")).trim();
		return { url, username, password };
	} catch (cause) {
		throw new LarderError(
			"CONFIG_INVALID",
			`broker.password_file: ${passwordFile} cannot be read`,
			{ cause },
		);
	}
}
