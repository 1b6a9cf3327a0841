import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND, sleep } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { Api } from "./api/api.ts";
import { backup } from "./backup/backup.ts";
import { Attention } from "./control/attention.ts";
import { watchEnds } from "./ends.ts";
import type { Fleet } from "./fleet/fleet.ts";
import { oldMembers } from "./fleet/inforce.ts";
import { Planner } from "./fleet/planner.ts";
import { Renewal } from "./fleet/renewal.ts";
import { type Lines, openLines } from "./lines.ts";
import { reloadTrouble } from "./operator/config.ts";
import { openOperator } from "./operator/operator.ts";
import { type OriginServer, startOrigin } from "./origin.ts";
import { Ingest } from "./publish/ingest.ts";
import { geometryOf } from "./publish/titles.ts";
import { leftToDo, renewBroker, takeKeys } from "./rekeying.ts";
import { Rollouts } from "./rollout/rollouts.ts";
import { openStores, type Stores } from "./stores.ts";

/** A part that takes longer to close is named in the log. */
const PATIENCE = 2 * SECOND;
/** What was shut out and taken back since the backup is still known in the region: nobody is to hear that it is not. */
const LISTEN: Millis = 10 * SECOND;
const PRESENCE_EVERY: Millis = 10 * MINUTE;

export interface HeadendOptions {
	/** False when another server serves the origin folder. */
	readonly serveOrigin?: boolean;
	/** How long nothing must change before a plan is made; for the desk, where nobody wants to wait. */
	readonly quiet?: Millis;
	/** How long a restored one listens before it speaks. */
	readonly listen?: Millis;
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
		const trouble = reloadTrouble(operator.config);
		if (trouble !== undefined) log.warn({}, trouble);
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
	{ serveOrigin = true, quiet, listen = LISTEN }: HeadendOptions,
): Promise<string> {
	const { operator, fleet, wishes, shelf, purges, heads } = stores;
	const { dir, config } = operator;
	const origin = serveOrigin
		? await startOrigin({ ...config.origin, dir: join(dir, "origin"), log })
		: undefined;
	if (origin !== undefined) parts.add("origin", origin);
	const lines = await openLines(stores, parts, log);
	const publishDesired = async (box: BoxId, envelope: Buffer) => {
		// It may have been shut out while the plan was made.
		if (!lines.announcer.isRevoked(box))
			await lines.dispatch.desired(box, envelope);
	};
	const planner = new Planner({
		operator,
		fleet,
		wishes,
		titles: async () =>
			shelf.titles
				.filter(({ id }) => !purges.has(id))
				.map((record) => ({
					id: record.id,
					geometry: geometryOf(record),
				})),
		publishDesired,
		beforeTold: (boxes) => lines.allotment.planned(boxes),
		log,
		...(quiet !== undefined && { quiet }),
	});
	parts.add("planner", planner);
	const renewal = new Renewal({
		...{ operator, wishes, planner, publishDesired, log },
		oldMembers: () => oldMembers(operator, stores.database),
		callIn: (box) => lines.commands.send(box, { kind: "renew" }),
	});
	parts.add("renewal", renewal);
	const rollouts = new Rollouts({
		...{ database: stores.database, audit: stores.audit, log },
		titles: () => shelf.titles.filter(({ id }) => !purges.has(id)),
		commands: lines.commands,
	});
	parts.add("rollouts", rollouts);
	const { api, url } = await openApi(
		stores,
		lines,
		{ planner, renewal, rollouts, origin },
		log,
	);
	parts.add("api", api);
	const attention = new Attention({
		watched: () => api.watched,
		hearingSince: () => lines.dispatch.hearingSince,
		silent: (since, limit) => fleet.silent(since, limit),
		ask: (box) => lines.commands.send(box, { kind: "report" }),
		log,
	});
	parts.add("attention", attention);
	// Keys may have been retired while no headend ran.
	await lines.recall.dropRetired();
	// Keys may have been replaced, and boxes shut out, while nobody told the broker.
	try {
		const certificate = await renewBroker({ operator, fleet });
		if (certificate === "renewed" || certificate === "foreign")
			for (const each of leftToDo(operator, certificate)) log.warn({}, each);
	} catch (error) {
		log.error({ err: error }, "the broker's files are not renewed");
	}
	parts.onClose("ends", await watchEnds(operator, log));
	await lines.withdrawal.start();
	await lines.recall.relearn();
	const isRestored = operator.epoch > 1 && heads.banned === undefined;
	if (isRestored) {
		log.info({ ms: listen }, "restored: listening to what the region knows");
		lines.dispatch.start();
		await sleep(listen);
	}
	await lines.announcer.announce();
	if (!isRestored) lines.dispatch.start();
	lines.enrolment.start();
	await planner.start();
	// In the background: thousands of boxes take minutes, and nobody waits for it.
	renewal.begin();
	rollouts.begin();
	parts.onClose(
		"purges",
		purges.onChange(() => planner.trigger("titles")),
	);
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

interface Working {
	readonly planner: Planner;
	readonly renewal: Renewal;
	readonly rollouts: Rollouts;
	readonly origin: OriginServer | undefined;
}

function openApi(
	stores: Stores,
	lines: Lines,
	{ planner, renewal, rollouts, origin }: Working,
	log: Log,
): ReturnType<typeof Api.start> {
	const { operator, database, audit, entitlement, fleet } = stores;
	const { shelf, purges, attests, qualities, watching } = stores;
	const { dispatch, commands, announcer, withdrawal, recalls } = lines;
	const { forgeries } = lines;
	return Api.start({
		operator,
		database,
		audit,
		fleet,
		purges,
		attests,
		qualities,
		watching,
		planner,
		origin,
		titles: () => shelf.titles.filter(({ id }) => !purges.has(id)),
		broker: () => ({
			connected: dispatch.connected,
			trouble: dispatch.trouble,
		}),
		command: (box, body) => {
			checkKnown(lines, box);
			if (announcer.isRevoked(box))
				throw new LarderError("BOX_REVOKED", `${short(box)} is shut out`);
			return commands.ask(box, body);
		},
		entitle: async (title, box, rule) => {
			if (box !== undefined) checkKnown(lines, box);
			const boxes = await entitlement.rule(title, box, rule);
			// Who is away does not hold up the others; it is told when it is back.
			void recalls.tell(boxes, title);
			return boxes.length;
		},
		rules: () => entitlement.rules(),
		forget: (box) => {
			checkKnown(lines, box);
			return entitlement.erase(box);
		},
		revoke: (box, why) => lines.shutOut(box, why),
		readmit: (box) => {
			checkKnown(lines, box);
			return lines.readmit(box);
		},
		forgery: () => forgeries.latest,
		purge: (title, why) => withdrawal.purge(title, why),
		giveBack: (title) => withdrawal.giveBack(title),
		takeKeys: () => takeKeys({ ...lines, operator, fleet, renewal, log }),
		enrolment: lines.enrolment,
		rollouts,
		backup: (file) => backup(operator, file, database),
		log,
	});
}

function checkKnown(lines: Pick<Lines, "knows">, box: BoxId): void {
	if (lines.knows(box)) return;
	throw new LarderError("BOX_UNKNOWN", `${short(box)} was not issued here`);
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
