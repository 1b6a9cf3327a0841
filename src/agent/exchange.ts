import { join } from "node:path";
import { Fetcher } from "../act/fetch/fetcher.ts";
import { Reconciler } from "../act/fill/reconcile.ts";
import { bringWhole } from "../act/fill/whole.ts";
import { Pacer } from "../act/pacer.ts";
import { Audience } from "../act/play/audience.ts";
import { TitleLibrary } from "../act/play/library.ts";
import { Room } from "../act/room.ts";
import type { ServiceGroup } from "../base/group.ts";
import { Watching } from "../gateway/watching.ts";
import type { TitleId } from "../wire/ids.ts";
import { Attests } from "./attests.ts";
import { TARGET, VERSION } from "./built.ts";
import type { Base } from "./foundation.ts";
import { Holders } from "./holders.ts";
import { Hours } from "./hours.ts";
import { Household } from "./household/household.ts";
import { isNear } from "./household/near.ts";
import { pressure } from "./household/pressure.ts";
import { Probes } from "./household/probes.ts";
import { Intake } from "./intake.ts";
import { TitleKeys } from "./keys.ts";
import { Lease } from "./lease.ts";
import { anonymous, MemoryGuard, memoryLimit } from "./memory.ts";
import { joinRegion } from "./neighbours.ts";
import type { Notifier } from "./notify.ts";
import { Power } from "./power.ts";
import { Reach } from "./reach.ts";
import { Reporter } from "./reporter.ts";
import { Today } from "./today.ts";
import { Updater } from "./update/updater.ts";
import { Upkeep } from "./upkeep.ts";
import { fileVault } from "./vault.ts";

/** What brings titles to this box and gives them to neighbours and players. */
export type Exchange = Awaited<ReturnType<typeof openExchange>>;

/** Joins the region and wires fetching, filling and playing together, then takes up what the operator wished for last. */
export async function openExchange(
	base: Base,
	notifier: Notifier,
	parts: ServiceGroup,
	restart: () => void,
) {
	const { config, identity, store, origin, control, catalog, ledger, flow } =
		base;
	const {
		traffic,
		wishes,
		will,
		told,
		releases,
		budget,
		aging,
		space,
		clock,
		log,
	} = base;
	let reconciler: Reconciler | undefined;
	space.onChange(() => reconciler?.roomChanged());
	store.disk.onChange(() => {
		reconciler?.roomChanged();
		// Full before it was seen to be.
		void space.look();
	});
	const isPlaced = (id: TitleId, shard?: number) =>
		reconciler?.isPlaced(id, shard) ?? false;
	// What may be given back waits on the disk for its day to pass, and makes room for nobody.
	const isKept = (id: TitleId, shard: number) =>
		wishes.isSpared(id) || isPlaced(id, shard);
	const room = new Room({
		...{ store, isPlaced: isKept, log },
		copies: (id, shard) => swarm.copies(id, shard),
	});
	const { region, trust } = identity;
	const folder = join(config.data, "holders");
	const holders = new Holders({
		...{ folder, region, trust, origin, log },
		neighbours: () => swarm,
	});
	const swarm = await joinRegion({
		...{ config, identity, store, control, holders, flow, ledger },
		...{ isPlaced, log },
		onGiven: (id) => room.gave(id),
		onMember: (stream) => catalog.replicate(stream),
	});
	parts.add("swarm", swarm);
	const memory = { limit: memoryLimit(), used: anonymous };
	parts.add("memory", new MemoryGuard({ ...memory, swarm, log }));
	const { reach: configured, bootstrap } = config.swarm;
	const nodes = bootstrap.map(({ host, port }) => `${host}:${port}`);
	const reach = new Reach({
		...{ configured, swarm, log, bootstrap: nodes },
		onChange: (reach) => control.change({ reach }),
	});
	parts.add("reach", reach);
	const power = new Power({ swarm, control, told, log });
	parts.add("power", power);
	const probes = new Probes({ nodes, swarm, isNear });
	const household = new Household({
		...{ swarm, will, told, probes, pressure, log, counters: ledger.counters },
		limits: { ...config.rates, ...config.household },
		onFill: () => reconciler?.reconsider(),
		placed: () => control.placement?.titles.length ?? 0,
		onPart: (part) => control.change({ part }),
	});
	parts.add("household", household);
	const hours = new Hours({
		own: config.fill,
		policy: () => control.standing.announcement?.policy.fill,
		power: () => power.state,
		now: () => (clock.isKnown ? clock.now() : undefined),
		onChange: (leave) => {
			traffic.allow(leave);
			household.change({ up: traffic.up });
			reconciler?.reconsider();
		},
		log,
	});
	parts.add("fill hours", hours);
	const today = await Today.open({
		...{ data: config.data, counters: ledger.counters, log },
		zone: () => hours.zone,
		now: () => (clock.isKnown ? clock.now() : undefined),
	});
	parts.add("today", today);
	const isPurged = (id: TitleId) => control.standing.purged.has(id);
	const common = { store, room, neighbours: swarm, origin, holders, log };
	/** This box's part of the region's origin budget: what the head says. */
	const trunk = new Pacer(0);
	const fetcher = new Fetcher({
		...common,
		pace: (from, bytes, purpose, signal) => {
			const household = () => traffic.take(from, bytes, purpose, signal);
			const isHeld = from === "origin" && purpose === "fill";
			const region = isHeld ? trunk.take(bytes, false, { signal }) : undefined;
			return region?.then(household) ?? household();
		},
		onWrong: () => {
			ledger.counters.wrongBlocks++;
		},
	});
	parts.add("fetcher", fetcher);
	const reporter = new Reporter({
		...{ store, room, control, ledger, notifier, budget, aging, space, log },
		neighbours: () => swarm.neighbours.size,
	});
	parts.add("reporter", reporter);
	const keys = new TitleKeys({
		folder: join(config.data, "keys"),
		identity: { box: identity.boxId, region, trust },
		vault: fileVault(identity.keyPair),
		ask: (id, signal) => control.key(id, signal),
		log,
	});
	parts.add("keys", keys);
	const watching = new Watching();
	const audience = new Audience((title, figures) => {
		watching.note(figures);
		control.qualities.add({ title, ...figures });
	});
	parts.add("audience", audience);
	const library = new TitleLibrary({
		...common,
		...{ fetcher, ledger, keys, catalog, audience },
		isPurged,
	});
	reconciler = new Reconciler({
		...common,
		fetcher,
		takeover: config.fill.takeover,
		mayFill: () => !budget.isSpent && store.takesWrites,
		isOpen: (lane) =>
			!household.waits &&
			hours.leave[lane === "origin" ? "trunk" : "neighbours"] !== null,
		isPlayed: (id) => library.isOpen(id),
		mayRemove: (id) => wishes.mayRemove(id),
		onProgress: (progress) => reporter.progressed(progress),
		onRemoved: (id) => {
			holders
				.forget(id)
				.then(() => attests.look())
				.catch((error: unknown) => {
					log.error({ err: error, title: id }, "a table was not removed");
				});
		},
	});
	parts.add("reconciler", reconciler);
	const intake = await Intake.open({
		...{ folder: join(config.data, "inbox"), store, room, isPlaced, log },
		isListed: async (id) =>
			!isPurged(id) && (await catalog.get(id)) !== undefined,
		may: () => power.state === "active" && !budget.isSpent && store.takesWrites,
	});
	parts.add("intake", intake);
	parts.add("library", library);
	const upkeep = await Upkeep.open({
		...{ store, ran: clock.ran, log },
		path: join(config.data, "control", "scrub.json"),
		isIdle: () =>
			power.state === "active" && !library.isPlaying && !reconciler?.isBusy,
	});
	parts.add("upkeep", upkeep);
	const lease = new Lease({
		...{ identity, clock, control, log },
		onRenewed: () => swarm.renewed(),
	});
	parts.add("lease", lease);
	const attests: Attests = await Attests.open({
		...{ data: config.data, identity, control, log },
		now: trust.now,
		mayRemove: (id) => wishes.mayRemove(id),
		remove: async (id) => {
			await store.removeTitle(id);
			await holders.forget(id);
			await keys.forget(id);
		},
		forgetKey: (id) => keys.forget(id),
	});
	parts.add("attests", attests);
	const { takeover } = config.fill;
	const updater = await Updater.open({
		...{ releases, trust, control, restart, log },
		...{ version: VERSION, target: TARGET },
		bring: (id, signal) =>
			bringWhole(id, { ...common, fetcher, takeover }, signal),
		open: (id, signal) => library.open(id, signal),
	});
	parts.add("updater", updater);
	wishes.begin(
		{
			...{ catalog, swarm, reporter, reconciler, library, keys, lease },
			...{ attests, updater, household, intake, trunk, log },
		},
		control,
	);
	return {
		swarm,
		reach,
		power,
		today,
		household,
		probes,
		hours,
		intake,
		reporter,
		library,
		watching,
	};
}
