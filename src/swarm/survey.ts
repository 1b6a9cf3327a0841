import { lookup } from "node:dns/promises";
import type HyperDHT from "hyperdht";
import { describe } from "../base/errors.ts";
import { bad, good, type Result } from "../base/result.ts";
import { monotonic, SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** A node is asked four times within four seconds; the rest is for its name. */
const PATIENCE: Millis = 6 * SECOND;

/** Addresses are `host:port`. */
export interface Sighting {
	/** The node's own address. */
	readonly by: string;
	/** The address at which it sees this machine. */
	readonly at: string;
}

/** What came of asking one DHT node, or why nothing did. */
export interface Answer {
	/** As it was asked for. */
	readonly node: string;
	readonly seen: Result<Sighting, "no-name" | "silent">;
}

/** Asks DHT nodes, all at once, whether they are there. Takes a few seconds when any is not; never rejects. */
export function survey(
	dht: Pick<HyperDHT, "ping">,
	nodes: readonly string[],
): Promise<Answer[]> {
	return Promise.all(
		nodes.map(async (node) => ({
			node,
			seen: await within(PATIENCE, ask(dht, node), bad("silent", "no answer")),
		})),
	);
}

/** How long a DHT node, an IPv4 address and port, takes to answer; undefined when it does not. Never rejects. */
export async function roundTrip(
	dht: Pick<HyperDHT, "delayedPing">,
	node: string,
): Promise<Millis | undefined> {
	const [host = "", port] = node.split(":");
	const asked = monotonic();
	try {
		// Of an ordinary ping nothing is heard any more when it takes much longer than the last ones.
		await dht.delayedPing({ host, port: Number(port) }, 0);
		return monotonic() - asked;
	} catch {
		// It is said of no node why it is silent.
		return undefined;
	}
}

async function ask(
	dht: Pick<HyperDHT, "ping">,
	node: string,
): Promise<Answer["seen"]> {
	const [name = "", port] = node.split(":");
	let host: string;
	try {
		host = (await lookup(name, { family: 4 })).address;
	} catch (error) {
		return bad("no-name", describe(error));
	}
	try {
		const { to } = await dht.ping({ host, port: Number(port) });
		return good({ by: `${host}:${port}`, at: `${to.host}:${to.port}` });
	} catch (error) {
		return bad("silent", describe(error));
	}
}
