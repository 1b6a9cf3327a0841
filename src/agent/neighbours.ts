import { join } from "node:path";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import type { Ledger } from "../act/ledger.ts";
import type { Log } from "../base/log.ts";
import type { Control } from "../control/control.ts";
import { SharedHoldings } from "../store/holdings.ts";
import { type IsShared, SharedShelf } from "../store/shelf.ts";
import type { ShardStore } from "../store/store.ts";
import { Swarm } from "../swarm/swarm.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Groups } from "../wire/near.ts";
import type { Config } from "./config.ts";
import type { Flow } from "./flow.ts";
import type { Holders } from "./holders.ts";
import type { Identity } from "./identity.ts";
import { Later } from "./later.ts";

/** Of a box that was told of none: always the same list. */
const NO_GROUPS: Groups = [];

export interface NeighbourhoodParts {
	readonly config: Pick<Config, "data" | "swarm"> & {
		readonly rates: Pick<Config["rates"], "up">;
	};
	readonly identity: Pick<
		Identity,
		"keyPair" | "networkSecret" | "region" | "trust" | "envelope"
	>;
	readonly store: ShardStore;
	readonly control: Pick<
		Control,
		"standing" | "head" | "offerHead" | "placement"
	>;
	readonly holders: Pick<Holders, "bytes">;
	readonly flow: Flow;
	readonly ledger: Pick<Ledger, "cameFrom">;
	/** Whether a shard is placed on this box, or anything of the title. */
	readonly isPlaced: IsShared;
	/** When a shard is offered that policy wants offered later; for tests. */
	readonly later?: ConstructorParameters<typeof Later>[1];
	/** A neighbour is given blocks of a title. */
	readonly onGiven: (id: TitleId) => void;
	/** A member's stream, for the catalog to replicate on. */
	readonly onMember: (stream: NoiseStream) => void;
	readonly log: Log;
}

/** Joins the region, as the operator's head and the configuration say. Throws NO_BOOTSTRAP or PORT_TAKEN. */
export async function joinRegion(parts: NeighbourhoodParts): Promise<Swarm> {
	const { config, identity, store, control, flow, ledger, log } = parts;
	const { swarm: settings, rates } = config;
	const later = new Later((id, shard) => {
		if (isShared(id, shard)) swarm.announce(id, shard);
	}, parts.later);
	noteAll(store, later);
	// What is taken back is gone at once, and until a head says so, what was only watched is nobody else's business.
	const isShared: IsShared = (id, shard) => {
		const { purged, announcement } = control.standing;
		if (purged.has(id)) return false;
		const sharing = announcement?.policy.shareTransient;
		if (sharing === "now" || parts.isPlaced(id, shard)) return true;
		return sharing === "later" && later.isDue(id, shard);
	};
	const swarm: Swarm = await Swarm.open({
		keyPair: identity.keyPair,
		networkSecret: identity.networkSecret,
		membership: {
			region: identity.region,
			trust: identity.trust,
			certificate: () => identity.envelope,
			near: () => control.placement?.near ?? NO_GROUPS,
			isRevoked: (box) => control.standing.revoked.has(box),
			currentHead: () => control.head,
			offerHead: (offered) => void control.offerHead(offered),
		},
		dht: {
			bootstrap: settings.bootstrap.map(({ host, port }) => `${host}:${port}`),
			host: settings.host,
			port: settings.port,
			reach: settings.reach,
			knownFile: join(config.data, "known-nodes.json"),
		},
		maxPeers: settings.maxPeers,
		tcp: settings.tcp
			? { host: settings.host, port: settings.tcpPort }
			: undefined,
		up: rates.up,
		shelf: new SharedShelf(
			store,
			isShared,
			(id) => parts.holders.bytes(id),
			parts.onGiven,
		),
		holdings: new SharedHoldings(store, isShared),
		onMember: parts.onMember,
		onTraffic: (direction, bytes, level) => {
			const isFrom = direction === "from";
			flow.moved(isFrom ? "fromNeighbours" : "toNeighbours", bytes);
			if (isFrom) ledger.cameFrom(level, bytes);
		},
		log,
	});
	store.onChange(({ title, shard }) => {
		later.note(title, shard, store.hasAny(title, shard));
		if (isShared(title, shard)) swarm.announce(title, shard);
	});
	return swarm;
}

function noteAll(store: ShardStore, later: Later): void {
	for (const id of store.titles()) {
		const inventory = store.inventory(id);
		for (const shard of inventory?.held ?? []) later.note(id, shard, true);
		for (const { shard } of inventory?.partial ?? [])
			later.note(id, shard, true);
	}
}
