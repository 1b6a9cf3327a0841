import { dirname, join } from "node:path";
import { Ledger } from "../act/ledger.ts";
import type { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import { brokerAccess, type OwnTls } from "../control/access.ts";
import { Control } from "../control/control.ts";
import { bootId } from "../gateway/token.ts";
import { openCatalogReader } from "../logs/reader.ts";
import { OriginClient } from "../origin/client.ts";
import { lockFolder } from "../store/lock.ts";
import { ShardStore } from "../store/store.ts";
import { Aging } from "./aging.ts";
import { budgetOf, WriteBudget } from "./budget.ts";
import { TARGET, VERSION } from "./built.ts";
import type { BoxClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { flashOf } from "./flash.ts";
import { Flow } from "./flow.ts";
import { Will } from "./household/will.ts";
import type { Identity } from "./identity.ts";
import { finishReset } from "./reset.ts";
import { freeOn, resolveGift, Space, sizeOf } from "./space.ts";
import { Told } from "./told.ts";
import { Traffic } from "./traffic.ts";
import { Releases } from "./update/releases.ts";
import { standing } from "./update/updater.ts";
import { Wishes } from "./wishes.ts";

/** What a box shows to a broker, and how it knows one; undefined for a box that was given nothing for that. */
function ownTls(identity: Identity, clock: BoxClock): OwnTls | undefined {
	const { ca, shown } = identity;
	if (ca === undefined || shown === undefined) return undefined;
	// Read at every attempt: a lease is renewed while the agent runs.
	return {
		ca,
		time: clock.span,
		leastIssuer: () => identity.trust.minimum.get("issuer") ?? 0,
		show: async () => identity.shown ?? shown,
	};
}

/** What a box has before it meets its neighbours. */
export type Base = Awaited<ReturnType<typeof openFoundation>>;

/**
 * Opens the disk, the catalog, the origin and the control plane; nothing here waits for the network.
 * Throws BOX_BUSY, STORE_UNUSABLE or CONFIG_INVALID.
 */
export async function openFoundation(
	config: Config,
	identity: Identity,
	clock: BoxClock,
	parts: ServiceGroup,
	log: Log,
) {
	const { boxId, region, trust } = identity;
	const ledger = new Ledger();
	const flow = new Flow(ledger.counters);
	const gift = await resolveGift(config);
	// Before anything is looked at: taking stock clears away what is being written.
	parts.add("lock", await lockFolder(config.data, "BOX_BUSY"));
	const removed = await finishReset(config);
	if (removed.length > 0) log.warn({ removed }, "the box was reset");
	await clock.begin(
		join(config.data, "control", "time.json"),
		{ box: boxId, region, trust },
		log,
	);
	parts.add("clock", clock);
	const flash = await flashOf(config.data);
	const aging = new Aging(config.data, flash?.wear, log);
	parts.add("aging", aging);
	const budget = await WriteBudget.open({
		budget: budgetOf(config.fill.writeBudget, flash),
		path: join(config.data, "control", "writes.json"),
		ran: clock.ran,
		boot: await bootId(),
		log,
	});
	parts.add("write budget", budget);
	const folder = join(config.data, "shards");
	const size = sizeOf(gift.quota, gift);
	const onWritten = (bytes: Bytes) => budget.wrote(bytes);
	const cuts = join(config.data, "control", "cuts.json");
	const store = await ShardStore.open({
		...{ folder, cuts, ...size, onWritten, log },
	});
	parts.add("store", store);
	const free = () => freeOn(config.data);
	const space = await Space.watch({ store, gift, free, log });
	parts.add("space", space);
	const origin = new OriginClient({
		base: config.origin.url,
		region,
		onBytes: (bytes) => flow.moved("fromOrigin", bytes),
	});
	parts.add("origin", origin);
	const catalog = await openCatalogReader(join(config.data, "catalog"), log);
	parts.add("catalog", catalog);
	const wishes = new Wishes(clock.ran);
	// Set by systemd/launch, without which nothing would start another release.
	const { LARDER_RELEASES } = process.env;
	const releases = LARDER_RELEASES ? new Releases(LARDER_RELEASES) : undefined;
	const will = await Will.open({
		path: join(config.data, "control", "household.json"),
		ran: clock.ran,
		log,
	});
	// Beside the socket: in a packaged box that is in memory.
	const told = await Told.open({
		path: join(dirname(config.ipc.socket), "told.json"),
		boot: await bootId(),
		log,
	});
	parts.add("told", told);
	const control = await Control.start({
		...(await brokerAccess(config.broker, ownTls(identity, clock))),
		box: boxId,
		region,
		trust,
		version: VERSION,
		target: TARGET,
		update: releases && (await standing(releases, VERSION)),
		power: told.power,
		part: will.part,
		reach: config.swarm.reach,
		folder: join(config.data, "control"),
		ran: clock.ran,
		fetchRef: (path, limit, signal) => origin.file(path, limit, signal),
		handlers: wishes,
		log,
	});
	parts.add("control", control);
	const traffic = new Traffic(config.rates);
	return {
		...{
			config,
			identity,
			clock,
			ledger,
			flow,
			store,
			origin,
			catalog,
			control,
		},
		...{ wishes, will, told, traffic, releases, budget, aging, space, log },
	};
}
