import { randomBytes } from "node:crypto";
import type { OperatorSettings } from "../headend/operator/config.ts";
import type { Region } from "../wire/ids.ts";
import { freeTcpPort, freeUdpPort } from "./ports.ts";

export const LOOPBACK = "127.0.0.1";

export interface SettingsWanted {
	readonly copies: number;
	/** A broker that runs already. */
	readonly broker?: string;
	readonly originPort?: number;
	readonly originUrl?: string;
	/** Where everything listens that boxes reach; loopback by default. */
	readonly host?: string;
}

/** What an operator on the desk is made with, on ports that nobody else uses. */
export async function freeSettings(
	options: SettingsWanted,
): Promise<Omit<OperatorSettings, "brokerUrl">> {
	const { copies, broker, originPort, originUrl, host = LOOPBACK } = options;
	const dht = [await freeUdpPort(), await freeUdpPort()];
	// At a broker that runs already there may be other desks.
	const name = broker === undefined ? 1 : randomBytes(4).toString("hex");
	return {
		region: `desk-${name}` as Region,
		copies,
		host,
		bootstrap: dht.map((port) => `${host}:${port}`),
		swarmPort: await freeUdpPort(),
		originPort: originPort ?? (await freeTcpPort()),
		apiPort: await freeTcpPort(),
		...(originUrl !== undefined && { originUrl }),
	};
}
