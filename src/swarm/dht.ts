import { readFile, rename, writeFile } from "node:fs/promises";
import HyperDHT from "hyperdht";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, within } from "../base/time.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";

const HOST_PORT = /^([^\s:]+):(\d{1,5})$/;
/** Nodes kept for the day on which no operator node answers. */
const KNOWN_KEPT = 64;

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

/** Builds the DHT explicitly and fails closed. Throws NO_BOOTSTRAP. */
export async function openDht(
	settings: DhtSettings,
	keyPair: KeyPair,
): Promise<HyperDHT> {
	const operator = settings.bootstrap.filter((node) => HOST_PORT.test(node));
	if (operator.length === 0 || operator.length !== settings.bootstrap.length) {
		throw new LarderError(
			"NO_BOOTSTRAP",
			`swarm.bootstrap has no usable address: ${JSON.stringify(settings.bootstrap)}`,
		);
	}
	const known = await readKnown(settings.knownFile);
	const dht = new HyperDHT({
		bootstrap: [...new Set([...operator, ...known])],
		keyPair: { publicKey: keyPair.publicKey, secretKey: secretKey(keyPair) },
		host: settings.host,
		port: settings.port,
		anyPort: settings.port === 0,
		...(settings.reach === "direct"
			? { firewalled: false, ephemeral: false }
			: {}),
	});
	await listening(dht, settings.host, settings.port);
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

/** HyperDHT binds in the background; a taken port shows only in the promise of its bootstrapping. */
function listening(dht: HyperDHT, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		dht.once("listening", () => resolve());
		dht.fullyBootstrapped().catch((cause: unknown) => {
			const what = `UDP ${host}:${port} cannot be opened`;
			reject(new LarderError("PORT_TAKEN", what, { cause }));
		});
	});
}

/** Keeps the nodes met on disk, now and every few minutes, so that a restarted box finds its region without the operator. */
export class KnownNodes {
	private readonly dht: HyperDHT;
	private readonly file: string;
	private readonly log: Log;
	private readonly timer: NodeJS.Timeout;
	private first: NodeJS.Timeout | undefined;

	constructor(dht: HyperDHT, file: string, log: Log) {
		this.dht = dht;
		this.file = file;
		this.log = log;
		this.timer = setInterval(() => this.keep(), 5 * MINUTE);
		this.timer.unref();
	}

	/** A new neighbour is a sign that the routing table has grown. */
	noticed(): void {
		if (this.first !== undefined) return;
		this.first = setTimeout(() => {
			this.first = undefined;
			this.keep();
		}, 2_000);
		this.first.unref();
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		clearTimeout(this.first);
		await this.save();
	}

	private keep(): void {
		this.save().catch((error: unknown) => {
			this.log.warn({ err: error }, "known DHT nodes could not be kept");
		});
	}

	private async save(): Promise<void> {
		const nodes = this.dht
			.toArray()
			.slice(0, KNOWN_KEPT)
			.map(({ host, port }) => `${host}:${port}`);
		if (nodes.length === 0) return;
		await writeFile(`${this.file}.part`, JSON.stringify(nodes), {
			mode: 0o600,
		});
		await rename(`${this.file}.part`, this.file);
	}
}

async function readKnown(file: string): Promise<string[]> {
	try {
		const nodes: unknown = JSON.parse(await readFile(file, "utf8"));
		if (!Array.isArray(nodes)) return [];
		return nodes.filter(
			(node): node is string =>
				typeof node === "string" && HOST_PORT.test(node),
		);
	} catch (error) {
		// A file cut short by a power cut is as good as none: it is only a hint.
		if (systemCode(error) === "ENOENT" || error instanceof SyntaxError)
			return [];
		throw new LarderError("STORE_UNUSABLE", `reading ${file} failed`, {
			cause: error,
		});
	}
}
