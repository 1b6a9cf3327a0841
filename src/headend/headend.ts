import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { short } from "../wire/ids.ts";
import { Api } from "./api/api.ts";
import { backup } from "./backup/backup.ts";
import { Attention } from "./control/attention.ts";
import type { Fleet } from "./fleet/fleet.ts";
import { Planner } from "./fleet/planner.ts";
import { type Lines, openLines } from "./lines.ts";
import { openOperator } from "./operator/operator.ts";
import { type OriginServer, startOrigin } from "./origin.ts";
import { Ingest } from "./publish/ingest.ts";
import { geometryOf } from "./publish/titles.ts";
import { openStores, type Stores } from "./stores.ts";

/** A part that takes longer to close is named in the log. */
const PATIENCE = 2 * SECOND;
const PRESENCE_EVERY: Millis = 10 * MINUTE;

export interface HeadendOptions {
	/** False when another server serves the origin folder. */
	readonly serveOrigin?: boolean;
	/** How long nothing must change before a plan is made; for the desk, where nobody wants to wait. */
	readonly quiet?: Millis;
}

export interface Headend {
	/** The operator's page, with its token. */
	readonly url: string;
	close(): Promise<void>;
}

/**
 * Starts an operator's service: catalog, origin, planner, fleet database, page, and the ends of both networks.
 * Throws OPERATOR_MISSING, OPERATOR_BUSY, OPERATOR_INVALID, CONFIG_INVALID, NO_BOOTSTRAP or PORT_TAKEN.
 */
export async function startHeadend(
	dir: string,
	log: Log,
	options: HeadendOptions = {},
): Promise<Headend> {
	const parts = new ServiceGroup(PATIENCE, (name) =>
		log.warn({ part: name }, "slow to close"),
	);
	try {
		const operator = await openOperator(dir);
		log.level = operator.config.log_level;
		const stores = await openStores(operator, parts, log);
		const url = await run(stores, parts, log, options);
		log.info({ region: operator.region, epoch: operator.epoch }, "ready");
		return { url, close: () => parts.close() };
	} catch (error) {
		await parts.close();
		throw error;
	}
}

async function run(
	stores: Stores,
	parts: ServiceGroup,
	log: Log,
	{ serveOrigin = true, quiet }: HeadendOptions,
): Promise<string> {
	const { operator, fleet, wishes, shelf } = stores;
	const { dir, config } = operator;
	const origin = serveOrigin
		? await startOrigin({ ...config.origin, dir: join(dir, "origin"), log })
		: undefined;
	if (origin !== undefined) parts.add("origin", origin);
	const lines = await openLines(stores, parts, log);
	const planner = new Planner({
		operator,
		fleet,
		wishes,
		titles: async () =>
			shelf.titles.map((record) => ({
				id: record.id,
				geometry: geometryOf(record),
			})),
		publishDesired: (box, envelope) => lines.dispatch.desired(box, envelope),
		log,
		...(quiet !== undefined && { quiet }),
	});
	parts.add("planner", planner);
	const { api, url } = await openApi(stores, lines, planner, origin, log);
	parts.add("api", api);
	const attention = new Attention({
		watched: () => api.watched,
		hearingSince: () => lines.dispatch.hearingSince,
		silent: (since, limit) => fleet.silent(since, limit),
		ask: (box) => lines.commands.send(box, { kind: "report" }),
		log,
	});
	parts.add("attention", attention);
	await lines.announcer.announce();
	lines.dispatch.start();
	lines.enrolment.start();
	await planner.start();
	shelf.follow(async () => {
		await lines.announcer.announce();
		planner.trigger("titles");
		api.touch();
	});
	parts.add(
		"ingest",
		await Ingest.start({
			operatorDir: dir,
			quiet: config.ingest.quiet * SECOND,
			log,
		}),
	);
	parts.onClose("presence", countPresence(fleet, log));
	return url;
}

function openApi(
	stores: Stores,
	lines: Lines,
	planner: Planner,
	origin: OriginServer | undefined,
	log: Log,
): ReturnType<typeof Api.start> {
	const { operator, database, audit, fleet, shelf } = stores;
	const { dispatch, commands } = lines;
	return Api.start({
		operator,
		database,
		audit,
		fleet,
		planner,
		origin,
		titles: () => shelf.titles,
		broker: () => ({
			connected: dispatch.connected,
			trouble: dispatch.trouble,
		}),
		command: (box, body) => {
			if (lines.knows(box)) return commands.ask(box, body);
			throw new LarderError("BOX_UNKNOWN", `${short(box)} was not issued here`);
		},
		revoke: async (box, why) => {
			if (!(await lines.revoke(box, why)))
				throw new LarderError(
					"BOX_UNKNOWN",
					`${short(box)} was not issued here`,
				);
		},
		enrolment: lines.enrolment,
		backup: (file) => backup(operator, file, database),
		log,
	});
}

/** Looks at even intervals who is there. Gives what ends it. */
function countPresence(fleet: Fleet, log: Log): () => void {
	const timer = setInterval(() => {
		fleet.countPresence().catch((error: unknown) => {
			log.error({ err: error }, "presence was not counted");
		});
	}, PRESENCE_EVERY);
	return () => clearInterval(timer);
}
