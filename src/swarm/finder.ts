import Hyperswarm from "hyperswarm";
import type { Log } from "../base/log.ts";
import { SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Region } from "../wire/ids.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";
import { Announcing } from "./announcing.ts";
import type { PrivateDht } from "./dht.ts";
import type { GuardedStream } from "./guard.ts";
import { KnownNodes } from "./known.ts";
import { regionTopic, Seeking } from "./seeking.ts";
import { type Answer, roundTrip, survey } from "./survey.ts";

/** Announcing asks DHT nodes that may be gone, and is not waited for: a box that nobody finds yet plays what it holds. */
const WELCOME: Millis = 0.5 * SECOND;
/** So does unannouncing. */
const FAREWELL: Millis = 1.5 * SECOND;

export interface FinderOptions {
	/** Ended with the finder. */
	readonly dht: PrivateDht;
	/** File in which nodes met are kept over restarts. */
	readonly knownFile: string;
	readonly keyPair: KeyPair;
	readonly networkSecret: Uint8Array;
	readonly region: Region;
	/** How many to find, and how many there are. */
	readonly maxPeers: number;
	readonly neighbours: () => number;
	/** Somebody was found, or found this box. */
	readonly onStream: (stream: GuardedStream) => void;
	readonly log: Log;
}

/** How the boxes of a region find each other: by its topic on the DHT, and again by the nodes that they once met. */
export class Finder {
	private readonly options: FinderOptions;
	private readonly dht: PrivateDht;
	private readonly hyperswarm: Hyperswarm<GuardedStream>;
	private readonly known: KnownNodes;
	private readonly announcing: Announcing;
	private seeking: Seeking | undefined;

	constructor(options: FinderOptions) {
		const { dht, knownFile, keyPair, maxPeers, onStream, log } = options;
		this.options = options;
		this.dht = dht;
		this.known = new KnownNodes(dht, knownFile, log);
		this.hyperswarm = new Hyperswarm({
			dht,
			keyPair: {
				publicKey: keyPair.publicKey,
				secretKey: secretKey(keyPair),
			},
			maxPeers,
		});
		this.hyperswarm.on("connection", onStream);
		this.announcing = new Announcing(dht, this.hyperswarm.server);
	}

	/** From now on this box is found; a little later where DHT nodes do not answer. */
	async join(): Promise<void> {
		const { networkSecret, region, neighbours, log } = this.options;
		await within(WELCOME, this.hyperswarm.listen(), undefined);
		this.seeking = new Seeking(
			this.hyperswarm.join(regionTopic(networkSecret, region)),
			neighbours,
			log,
		);
	}

	/** The UDP port that is listened on. */
	get port(): number {
		return this.dht.localAddress()?.port ?? 0;
	}

	/** DHT nodes that were there when they were last heard, `host:port`. */
	get nodes(): readonly string[] {
		return this.dht.toArray().map(({ host, port }) => `${host}:${port}`);
	}

	/** Whether this box knows DHT nodes besides itself. */
	get online(): boolean {
		return this.dht.online && this.nodes.length > 0;
	}

	/** Asks DHT nodes, `host:port`, whether they are there; see there. */
	survey(nodes: readonly string[]): Promise<Answer[]> {
		return survey(this.dht, nodes);
	}

	/** How long a DHT node takes to answer; see there. */
	ping(node: string): Promise<Millis | undefined> {
		return roundTrip(this.dht, node);
	}

	/** A neighbour came: this box knows more of the network than before. */
	came(): void {
		this.known.noticed();
	}

	/** A neighbour left: it may be time to look for others. */
	left(): void {
		this.seeking?.again();
	}

	/** Looks for neighbours now, though it may know enough of them. */
	seek(): void {
		this.seeking?.now();
	}

	async close(): Promise<void> {
		this.seeking?.close();
		this.announcing.close();
		await this.known.close();
		await within(FAREWELL, this.hyperswarm.destroy(), undefined);
		if (!this.dht.destroyed) await this.dht.destroy({ force: true });
	}
}
