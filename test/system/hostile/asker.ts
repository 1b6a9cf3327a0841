import { join } from "node:path";
import type { Test } from "tap";
import { readIdentity } from "../../../src/agent/identity.ts";
import { silent } from "../../../src/base/log.ts";
import type { Neighbourhood } from "../../../src/desk/neighbourhood.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import { Swarm } from "../../../src/swarm/swarm.ts";
import { timeOf } from "../../../src/wire/envelope.ts";
import type { Head } from "../../../src/wire/head.ts";

/**
 * A member of the region that holds nothing and asks.
 * @param head what it tells whoever it meets, before anything else
 */
export async function openAsker(
	t: Test,
	desk: Neighbourhood,
	serial: string,
	head: Head | undefined,
): Promise<Swarm> {
	const dir = join(desk.dir, serial);
	await issueBox(desk.operator, { dir, serial });
	const identity = await readIdentity(
		join(dir, "identity.json"),
		timeOf(Date.now),
	);
	const swarm = await Swarm.open({
		keyPair: identity.keyPair,
		networkSecret: identity.networkSecret,
		membership: {
			region: identity.region,
			trust: identity.trust,
			certificate: () => identity.envelope,
			isRevoked: () => false,
			currentHead: () => head,
			offerHead: () => undefined,
		},
		dht: {
			bootstrap: desk.operator.config.swarm.bootstrap,
			host: "127.0.0.1",
			port: 0,
			reach: "direct",
			knownFile: join(dir, "known-nodes.json"),
		},
		maxPeers: 16,
		tcp: { host: "127.0.0.1", port: 0 },
		up: 0,
		shelf: {
			manifest: async () => undefined,
			holders: async () => undefined,
			leaves: async () => undefined,
			blocks: async () => undefined,
		},
		holdings: {
			holding: (title) => ({ title, shards: new Uint8Array(0), partial: [] }),
			change: (title, shard) => ({
				...{ title, shard, held: false },
				blocks: new Uint8Array(0),
			}),
		},
		onMember: () => undefined,
		onTraffic: () => undefined,
		log: silent,
	});
	t.teardown(() => swarm.close());
	return swarm;
}
