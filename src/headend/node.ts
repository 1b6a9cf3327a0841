import { join } from "node:path";
import type { Log } from "../base/log.ts";
import type { CatalogWriter } from "../logs/writer.ts";
import { NO_HOLDINGS } from "../swarm/inventory.ts";
import { Swarm } from "../swarm/swarm.ts";
import { EMPTY_SHELF } from "../swarm/upload.ts";
import type { Head } from "../wire/head.ts";
import type { BoxId } from "../wire/ids.ts";
import type { OwnLease } from "./lease.ts";
import type { Operator } from "./operator/operator.ts";

const MAX_PEERS = 64;

export interface NodeOptions {
	readonly operator: Operator;
	readonly lease: OwnLease;
	readonly catalog: CatalogWriter;
	readonly currentHead: () => Head | undefined;
	readonly isRevoked: (box: BoxId) => boolean;
	/** A neighbour passed on a head. */
	readonly offerHead: (head: Head) => void;
	readonly log: Log;
}

/**
 * The headend's own node among the boxes: it serves the catalog and the newest head, and holds no titles.
 * Throws NO_BOOTSTRAP or PORT_TAKEN.
 */
export async function openNode(options: NodeOptions): Promise<Swarm> {
	const { operator, lease, catalog, currentHead, isRevoked } = options;
	const { offerHead, log } = options;
	const { bootstrap, host, port } = operator.config.swarm;
	return await Swarm.open({
		keyPair: lease.pair,
		networkSecret: operator.networkSecret,
		membership: {
			region: operator.region,
			trust: operator.trust,
			certificate: () => lease.certificate,
			near: () => [],
			isRevoked,
			currentHead,
			offerHead,
		},
		dht: {
			bootstrap,
			host,
			port,
			reach: "direct",
			knownFile: join(operator.dir, "known-nodes.json"),
		},
		maxPeers: MAX_PEERS,
		tcp: undefined,
		up: 0,
		shelf: EMPTY_SHELF,
		holdings: NO_HOLDINGS,
		onMember: (stream) => catalog.replicate(stream),
		onTraffic: () => undefined,
		log,
	});
}
