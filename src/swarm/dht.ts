import HyperDHT, { type ConnectOptions, type RawStream } from "hyperdht";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";
import { GuardedStream } from "./guard.ts";
import { readKnown } from "./known.ts";
import { portError } from "./port.ts";

export interface DhtSettings {
	/** Operator nodes, `host:port`. Never empty: an empty list is the public network to HyperDHT. */
	readonly bootstrap: readonly string[];
	readonly host: string;
	readonly port: number;
	/** `direct` on routed networks, `nat` behind home gateways. */
	readonly reach: "direct" | "nat";
	/** File in which nodes met are kept over restarts. */
	readonly knownFile: string;
}

function createSecretStream(
	...args: ConstructorParameters<typeof GuardedStream>
): GuardedStream {
	return new GuardedStream(...args);
}

/** What was prepared for a handshake is kept for so long, its closed connection with it: until its packet is not sent again. */
const REMEMBERED: Millis = 3 * SECOND;
/** A UDX stream takes 66 KiB and, behind NAT, a socket. */
const MAX_PENDING = 128;

/**
 * A DHT all of whose connections, in and out, are guarded until they are admitted.
 * Invariant: at most MAX_PENDING handshakes wait for the other side's first packet. One packet from anybody begins one that would
 * wait for 10 s; it says itself what its address is, so that nothing is laid at that address's door: the oldest makes room.
 */
export class PrivateDht extends HyperDHT<GuardedStream> {
	private readonly pending = new Set<RawStream>();

	override createRawStream(options: object): RawStream {
		const raw = super.createRawStream(options);
		this.pending.add(raw);
		const settled = () => this.pending.delete(raw);
		raw.once("connect", settled);
		raw.once("close", settled);
		const [oldest] = this.pending;
		if (this.pending.size > MAX_PENDING) oldest?.destroy();
		return raw;
	}

	override connect(
		key: Uint8Array,
		options: ConnectOptions<GuardedStream> = {},
	): GuardedStream {
		return super.connect(key, { ...options, createSecretStream });
	}

	override createServer(
		options: ConnectOptions<GuardedStream>,
		onConnection?: (stream: GuardedStream) => void,
	) {
		return super.createServer(
			{ ...options, createSecretStream, handshakeClearWait: REMEMBERED },
			onConnection,
		);
	}
}

/** Builds the DHT explicitly and fails closed. Throws NO_BOOTSTRAP, PORT_TAKEN or CONFIG_INVALID. */
export async function openDht(
	settings: DhtSettings,
	keyPair: KeyPair,
	log: Log,
): Promise<PrivateDht> {
	const { bootstrap, host, port, reach, knownFile } = settings;
	if (bootstrap.length === 0 || !bootstrap.every(isNodeAddress)) {
		throw new LarderError(
			"NO_BOOTSTRAP",
			`swarm.bootstrap has no usable address: ${JSON.stringify(bootstrap)}`,
		);
	}
	const known = await readKnown(knownFile, log);
	const dht = new PrivateDht({
		bootstrap: [...new Set([...bootstrap, ...known.filter(isNodeAddress)])],
		keyPair: { publicKey: keyPair.publicKey, secretKey: secretKey(keyPair) },
		host,
		port,
		anyPort: port === 0,
		...(reach === "direct" ? { firewalled: false, ephemeral: false } : {}),
	});
	await listening(dht, host, port);
	return dht;
}

/**
 * Runs one operator node that others bootstrap from. Throws PORT_TAKEN.
 * @param host the IPv4 address by which others reach it; a node without neighbours cannot learn it
 */
export async function openBootstrapNode(
	host: string,
	port: number,
	others: readonly string[],
): Promise<HyperDHT> {
	const node = HyperDHT.bootstrapper(port, host, { bootstrap: others, host });
	await listening(node, host, port);
	await within(5_000, node.fullyBootstrapped(), undefined);
	return node;
}

/**
 * A node that only asks others: it has any port, and none of those that others may be given. Throws CONFIG_INVALID for a
 * host that is not this machine's.
 */
export async function openVisitor(
	host: string,
	bootstrap: readonly string[],
): Promise<HyperDHT> {
	const visitor = new HyperDHT({ bootstrap, host, port: [0, 0] });
	await listening(visitor, host, 0);
	return visitor;
}

/** `host:port`. */
function isNodeAddress(text: string): boolean {
	const port = Number(/^[^\s:]+:(\d{1,5})$/.exec(text)?.[1] ?? 0);
	return port > 0 && port < 65_536;
}

/** HyperDHT binds in the background; a taken port shows only in the promise of its bootstrapping. */
async function listening(
	dht: Pick<HyperDHT, "once" | "fullyBootstrapped" | "destroy" | "io">,
	host: string,
	port: number,
): Promise<void> {
	try {
		await new Promise<void>((resolve, reject) => {
			dht.once("listening", () => resolve());
			dht.fullyBootstrapped().catch(reject);
		});
	} catch (cause) {
		// Without a socket, `destroy` fails once more with the same cause, and goes on watching the network interfaces.
		await dht.destroy({ force: true }).catch(() => undefined);
		await dht.io.networkInterfaces.destroy();
		throw portError("UDP", host, port, cause);
	}
}
