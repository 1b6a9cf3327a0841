import type { Ledger } from "../act/ledger.ts";
import type { TitleLibrary } from "../act/play/library.ts";
import type { Control } from "../control/control.ts";
import type { ShardStore } from "../store/store.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { MAX_STATUS_TITLES, type Status } from "../wire/ipc.ts";
import type { WriteBudget } from "./budget.ts";
import { VERSION } from "./built.ts";
import { checkExpiry, checkStore } from "./checks.ts";
import type { BoxClock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Flow } from "./flow.ts";
import type { Hours } from "./hours.ts";
import type { Household } from "./household/household.ts";
import type { Identity } from "./identity.ts";
import type { Intake } from "./intake.ts";
import { checkInterface } from "./interface.ts";
import type { Power } from "./power.ts";
import type { Reach } from "./reach.ts";
import type { Reporter } from "./reporter.ts";
import type { Today } from "./today.ts";
import type { ConfigChange } from "./watch.ts";

export interface StatusParts {
	readonly config: Config;
	readonly identity: Identity;
	readonly swarm: Swarm;
	readonly reach: Reach;
	readonly power: Power;
	readonly hours: Hours;
	readonly intake: Pick<Intake, "figures">;
	readonly household: Household;
	readonly today: Pick<Today, "figures">;
	readonly control: Control;
	readonly reporter: Reporter;
	readonly library: TitleLibrary;
	readonly ledger: Ledger;
	readonly budget: WriteBudget;
	readonly flow: Flow;
	readonly store: Pick<ShardStore, "disk">;
	readonly clock: Pick<BoxClock, "up">;
	readonly latest: () => Settings;
}

/** The newest valid configuration, and its keys that wait for a restart. */
export type Settings = Pick<ConfigChange, "config" | "restart">;

/** The box at this moment, for `larder status`. */
export async function statusOf(parts: StatusParts): Promise<Status> {
	const { config, identity, swarm, control, reporter, ledger } = parts;
	const levels = reporter.levels();
	const { lastPlacement } = reporter;
	const { capacity, usedSpace, reservedSpace, reserve } = levels;
	const { streamingShare, transientBytes } = levels;
	const { placedBytes, heldBytes, missingBytes, shards } = levels;
	return {
		version: VERSION,
		box: identity.boxId,
		region: identity.region,
		session: control.session,
		uptime: parts.clock.up(),
		power: parts.power.state,
		household: parts.household.status,
		membership: {
			role: identity.certificate.role,
			serial: identity.certificate.serial,
			notAfter: identity.certificate.notAfter,
		},
		swarm: {
			reach: parts.reach.current.reach,
			port: swarm.dhtPort,
			tcpPort: swarm.tcpPort ?? 0,
			neighbours: neighboursOf(swarm),
		},
		control: {
			broker: config.broker.url,
			connected: control.connected,
			since: control.since,
			...(lastPlacement && { lastPlacement }),
		},
		store: {
			capacity,
			usedSpace,
			reservedSpace,
			reserve,
			streamingShare,
			transientBytes,
			placedBytes,
			heldBytes,
			missingBytes,
			shards,
			disk: levels.disk,
		},
		writes: {
			budget: parts.budget.limit,
			spent: parts.budget.spent,
			...(levels.wear !== undefined && { wear: levels.wear }),
			written: parts.budget.written,
		},
		fill: { hours: parts.hours.from ?? "any", ...parts.hours.leave },
		inbox: parts.intake.figures,
		today: parts.today.figures,
		titles: levels.titles
			.slice(0, MAX_STATUS_TITLES)
			.map(({ id, placed, held }) => ({ id, placed, held })),
		streams: await parts.library.streamsNow(),
		rates: parts.flow.rates(),
		limits: parts.latest().config.rates,
		counters: ledger.counters,
		problems: problemsOf(parts),
	};
}

function neighboursOf(swarm: Swarm): Status["swarm"]["neighbours"] {
	return [...swarm.neighbours.values()].flatMap((neighbour) => {
		const link = neighbour.best;
		if (link === undefined) return [];
		const { roundTrip, throughput, inFlight } = link.download;
		return [
			{
				box: neighbour.box,
				link: link.transport,
				roundTripMs: roundTrip,
				throughput,
				inFlight,
				bytesFrom: neighbour.received,
				bytesTo: neighbour.sent,
				since: link.since,
			},
		];
	});
}

function problemsOf({
	config,
	control,
	swarm,
	identity,
	reach,
	intake,
	latest,
	store,
}: StatusParts): string[] {
	const problems: string[] = [];
	const { disk } = store;
	if (disk.state !== "good") problems.push(checkStore(disk.report).finding);
	if (!control.connected) {
		problems.push(`no control plane: ${control.trouble ?? "not connected"}`);
	}
	for (const { level, finding } of checkInterface(config.swarm))
		if (level !== "ok") problems.push(finding);
	if (swarm.neighbours.size === 0) problems.push("no neighbour is connected");
	const { reach: found, check } = reach.current;
	if (found === "none") problems.push(`cannot be reached: ${check.finding}`);
	const expiry = checkExpiry(identity.certificate, identity.trust);
	if (expiry.level !== "ok") problems.push(`membership ${expiry.finding}`);
	const { wrong } = intake.figures;
	if (wrong > 0)
		problems.push(
			`${wrong} files in the inbox are not the shards that they should be`,
		);
	const { restart } = latest();
	if (restart.length > 0) {
		problems.push(`restart to apply ${restart.join(", ")}`);
	}
	return problems;
}
