import { join } from "node:path";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import type { Test } from "tap";
import { readIdentity } from "../../src/agent/identity.ts";
import { silent } from "../../src/base/log.ts";
import type { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import { LOOPBACK } from "../../src/desk/settings.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import type { Signers } from "../../src/headend/operator/keyring.ts";
import { type Holdings, NO_HOLDINGS } from "../../src/swarm/inventory.ts";
import { Swarm } from "../../src/swarm/swarm.ts";
import { EMPTY_SHELF, type Shelf } from "../../src/swarm/upload.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import type { Head } from "../../src/wire/head.ts";
import type { BoxId } from "../../src/wire/ids.ts";

export interface MemberOptions {
	/** What it tells whoever it meets, before anything else; nothing unless given. */
	readonly head?: Head | undefined;
	/** Who signs its certificate; the desk's operator unless given. */
	readonly signers?: Signers;
	/** What it gives to those who ask; nothing unless given. */
	readonly shelf?: Shelf;
	/** What it says that it holds; nothing unless given. */
	readonly holdings?: Holdings;
	/** Its address; loopback unless given. */
	readonly host?: string;
	/** Somebody let it in. */
	readonly onMember?: (stream: NoiseStream) => void;
}

/** A member that a test leads. */
export interface Lead {
	readonly swarm: Swarm;
	readonly box: BoxId;
	/** Leaves the region; the end of the test does, too. */
	leave(): Promise<void>;
}

/** A node in this process, with a box's certificate of the desk's operator, that does what a test wants of it. */
export async function openMember(
	t: Test,
	desk: Neighbourhood,
	serial: string,
	options: MemberOptions,
): Promise<Lead> {
	const dir = join(desk.dir, serial);
	const { signers = desk.operator.signers, host = LOOPBACK } = options;
	await issueBox({ ...desk.operator, signers }, { dir, serial });
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
			currentHead: () => options.head,
			near: () => [],
			offerHead: () => undefined,
		},
		dht: {
			bootstrap: desk.operator.config.swarm.bootstrap,
			host,
			port: 0,
			reach: "direct",
			knownFile: join(dir, "known-nodes.json"),
		},
		maxPeers: 16,
		tcp: { host, port: 0 },
		up: 0,
		shelf: options.shelf ?? EMPTY_SHELF,
		holdings: options.holdings ?? NO_HOLDINGS,
		onMember: options.onMember ?? (() => undefined),
		onTraffic: () => undefined,
		log: silent,
	});
	let leaving: Promise<void> | undefined;
	const leave = () => {
		leaving ??= swarm.close();
		return leaving;
	};
	t.teardown(leave);
	return { swarm, box: identity.boxId, leave };
}
