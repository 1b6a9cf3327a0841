import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import type { Library } from "../act/ports.ts";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND, within } from "../base/time.ts";
import { KiB } from "../base/units.ts";
import { createMeter } from "./meter.ts";
import { Reception } from "./reception.ts";
import { Titles } from "./titles.ts";

export interface GatewayOptions {
	/** Address to bind; also accepted in Host headers. Loopback names always are. */
	readonly host: string;
	/** 0 picks a free one. */
	readonly port: number;
	readonly library: Library;
	/** The gateway adds its own metrics and serves the whole registry. */
	readonly registry: Registry;
	/** For `/readyz`; `why` is for a person. */
	readonly ready: () => { readonly ready: boolean; readonly why: string };
	readonly log: Log;
}

export interface Gateway {
	readonly port: number;
	/** Stops accepting, ends running reads and connections; takes less than a second. */
	close(): Promise<void>;
}

/** Starts the HTTP server for players. Rejects with PORT_TAKEN when the port is in use. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
	const { host, port, library, registry, ready, log } = options;
	const reception = new Reception({
		backing: { library, titles: new Titles(library), registry, ready },
		meter: createMeter(registry),
		host,
		log,
	});
	const server = createServer(
		{
			// A client that sends its header by drops is let go; how long an answer takes is not limited.
			maxHeaderSize: 16 * KiB,
			headersTimeout: 10 * SECOND,
			requestTimeout: 20 * SECOND,
			connectionsCheckingInterval: 2 * SECOND,
			keepAliveTimeout: 60 * SECOND,
		},
		(req, res) => void reception.receive(req, res),
	);
	server.maxConnections = 2048;
	await listen(server, host, port);
	return {
		port: (server.address() as AddressInfo).port,
		close: async () => {
			const closed = new Promise((resolve) => server.close(resolve));
			server.closeAllConnections();
			const ended = Promise.all([closed, reception.settled()]);
			await within(0.9 * SECOND, ended, undefined);
		},
	};
}

function listen(server: Server, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", (cause) => {
			reject(
				systemCode(cause) === "EADDRINUSE"
					? new LarderError(
							"PORT_TAKEN",
							`the gateway's port ${host}:${port} is in use`,
							{ cause },
						)
					: cause,
			);
		});
		server.listen(port, host, resolve);
	});
}
