import { existsSync } from "node:fs";
import { join } from "node:path";
import { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { shardCount } from "../content/geometry.ts";
import { openCatalogWriter } from "../logs/writer.ts";
import { Swarm } from "../swarm/swarm.ts";
import { parseEnvelope } from "../wire/envelope.ts";
import type { BoxId } from "../wire/ids.ts";
import { downTopic, headTopic } from "../wire/topics.ts";
import { Api } from "./api/api.ts";
import { backup } from "./backup/backup.ts";
import { answerRequest, sendCommand } from "./control/answers.ts";
import { Dispatch } from "./control/dispatch.ts";
import { HeadWriter } from "./control/heads.ts";
import { openDatabase } from "./fleet/database.ts";
import { Fleet } from "./fleet/fleet.ts";
import { Planner } from "./fleet/planner.ts";
import { Wishes } from "./fleet/wishes.ts";
import { issueHeadend, readIssued } from "./operator/issue.ts";
import { lockOperator } from "./operator/lock.ts";
import { openOperator } from "./operator/operator.ts";
import { startOrigin } from "./origin.ts";
import { Ingest } from "./publish/ingest.ts";
import { TitleShelf } from "./publish/shelf.ts";
import { entryOf } from "./publish/titles.ts";

const PATIENCE = 2 * SECOND;
const PRESENCE_EVERY: Millis = 10 * 60 * SECOND;

export interface Headend {
	/** The operator's page, with its token. */
	readonly url: string;
	close(): Promise<void>;
}

/**
 * Starts an operator's service: catalog, origin, planner, fleet database, page, and the ends of both networks.
 * Throws OPERATOR_MISSING, OPERATOR_BUSY, OPERATOR_INVALID, CONFIG_INVALID, NO_BOOTSTRAP or PORT_TAKEN.
 * @param serveOrigin false when another server serves the origin folder
 * @param quiet how long nothing must change before a plan is made; for the desk, where nobody wants to wait
 */
export async function startHeadend(
	dir: string,
	log: Log,
	{
		quiet,
		serveOrigin = true,
	}: { readonly quiet?: Millis; readonly serveOrigin?: boolean } = {},
): Promise<Headend> {
	const parts = new ServiceGroup(PATIENCE, (name) =>
		log.warn({ part: name }, "slow to close"),
	);
	try {
		const operator = await openOperator(dir);
		const { config, region, epoch } = operator;
		log.level = config.log_level;
		parts.add("lock", await lockOperator(dir));
		const database = parts.add(
			"database",
			await openDatabase(join(operator.dir, "db")),
		);
		const fleet = new Fleet({
			database,
			issued: (box) => readIssued(operator.dir, box),
			log,
		});
		parts.add("fleet", fleet);
		const wishes = new Wishes(database, region);
		const catalog = parts.add(
			"catalog",
			await openCatalogWriter(join(operator.dir, "catalog"), { epoch }),
		);
		const heads = await HeadWriter.open(operator);

		if (serveOrigin) {
			const { host, port } = config.origin;
			const dir = join(operator.dir, "origin");
			parts.add("origin", await startOrigin({ host, port, dir, log }));
		}

		const dispatch: Dispatch = new Dispatch({
			url: config.broker.url,
			name: operator.network.slice(0, 16),
			knows: (box) => existsSync(join(operator.dir, "issued", `${box}.json`)),
			retained: async function* () {
				if (heads.bytes) yield [headTopic(region), heads.bytes] as const;
				for await (const [box, envelope] of wishes.envelopes(epoch)) {
					yield [downTopic(box, "desired"), envelope] as const;
				}
			},
			handlers: {
				onState: (box, state) => fleet.recordState(box, state),
				onReported: (box, reported) => fleet.recordReported(box, reported),
				onFill: (box, fill) => fleet.recordFill(box, fill),
				onRequest: (box, request) =>
					answerRequest(operator, dispatch, box, request, log),
				onResponse: (box, { id, ok, code }) => {
					log.info(
						{ box: box.slice(0, 8), id, ok, code },
						"a command was answered",
					);
				},
			},
			log,
		});
		parts.add("dispatch", dispatch);

		const member = await issueHeadend(operator);
		const certificate = parseEnvelope(
			JSON.parse(member.certificate.toString("utf8")),
		);
		if (!certificate.ok) throw new Error(certificate.detail);
		let revoked: readonly BoxId[] = await fleet.revoked();
		const swarm: Swarm = await Swarm.open({
			keyPair: member.pair,
			networkSecret: operator.networkSecret,
			membership: {
				region,
				trust: operator.trust,
				certificate: certificate.value,
				isRevoked: (box) => revoked.includes(box),
				currentHead: () => heads.envelope,
				// The headend makes heads; it takes none.
				offerHead: () => undefined,
			},
			dht: {
				bootstrap: config.swarm.bootstrap,
				host: config.swarm.host,
				port: config.swarm.port,
				reach: "direct",
				knownFile: join(operator.dir, "known-nodes.json"),
			},
			maxPeers: 64,
			tcp: undefined,
			up: 0,
			// Titles come from the origin, never from here.
			shelf: {
				manifest: async () => undefined,
				holders: async () => undefined,
				leaves: async () => undefined,
				blocks: async () => undefined,
			},
			holdings: {
				holding: (title) => ({ title, shards: new Uint8Array(0), partial: [] }),
				change: (title, shard) => ({
					title,
					shard,
					held: false,
					blocks: new Uint8Array(0),
				}),
			},
			onMember: (stream) => catalog.replicate(stream),
			onTraffic: () => undefined,
			log,
		});
		parts.add("swarm", swarm);

		/** Brings catalog and head up to the published titles and the fleet. */
		const announce = async (): Promise<void> => {
			const wanted = new Set(shelf.titles.map(({ record }) => record.id));
			for (const { id } of await catalog.list()) {
				if (!wanted.has(id)) await catalog.remove(id);
			}
			for (const { record } of shelf.titles) await catalog.put(entryOf(record));
			revoked = await fleet.revoked();
			const bytes = await heads.write({
				catalog: { key: catalog.key, length: catalog.length },
				revoked: [...revoked],
				purged: [],
				policy: { shareTransient: config.policy.share_transient },
			});
			if (bytes === undefined) return;
			await dispatch.head(region, bytes);
			swarm.headChanged();
		};
		const shelf: TitleShelf = await TitleShelf.open(
			operator.dir,
			async () => {
				await announce();
				planner.trigger("titles");
				api.touch();
			},
			log,
		);
		parts.add("titles", shelf);

		const planner: Planner = new Planner({
			operator,
			fleet,
			wishes,
			titles: async () =>
				shelf.titles.map(({ record, geometry }) => ({
					id: record.id,
					geometry,
				})),
			publishDesired: (box, envelope) => dispatch.desired(box, envelope),
			log,
			...(quiet !== undefined && { quiet }),
		});
		parts.add("planner", planner);
		const { api, url } = await Api.start({
			operator,
			database,
			fleet,
			planner,
			titles: async () =>
				shelf.titles.map(({ record, geometry }) => ({
					...entryOf(record),
					publishedAt: record.publishedAt,
					shards: shardCount(geometry),
				})),
			broker: () => ({
				connected: dispatch.connected,
				trouble: dispatch.trouble,
			}),
			command: (box, body) => sendCommand(operator, dispatch, box, body),
			backup: (file) => backup(operator, file, database),
			log,
		});
		parts.add("api", api);
		await announce();
		dispatch.start();
		await planner.start();
		parts.add(
			"ingest",
			await Ingest.start({
				operatorDir: operator.dir,
				quiet: config.ingest.quiet * SECOND,
				log,
				onPublished: (entry, { title }) =>
					log.info({ entry, title: title.id }, "published"),
				onFaults: (entry) =>
					log.warn({ entry }, `not published; ${entry}.faults.txt says why`),
			}),
		);
		const presence = setInterval(() => {
			fleet.countPresence().catch((error: unknown) => {
				log.error({ err: error }, "presence was not counted");
			});
		}, PRESENCE_EVERY);
		parts.onClose("presence", () => clearInterval(presence));
		log.info({ region, epoch }, "ready");
		return { url, close: () => parts.close() };
	} catch (error) {
		await parts.close();
		throw error;
	}
}
