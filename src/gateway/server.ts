import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import type { Library } from "../act/ports.ts";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND, within } from "../base/time.ts";
import { KiB, type Millis } from "../base/units.ts";
import type { Time } from "../wire/envelope.ts";
import type { BoxView } from "./box.ts";
import { isLoopback } from "./host.ts";
import { createMeter } from "./meter.ts";
import { Reception } from "./reception.ts";
import { Titles } from "./titles.ts";
import { prefixOf } from "./token.ts";

export interface GatewayOptions {
	/** Loopback address to bind. */
	readonly host: string;
	/** 0 picks a free one. */
	readonly port: number;
	readonly library: Library;
	/** What the box knows of it: which titles are available is not for the system's clock to say. */
	readonly time: Time;
	/** The gateway adds its own metrics and serves the whole registry. */
	readonly registry: Registry;
	/** For `/readyz`; `why` is for a person. */
	readonly ready: () => { readonly ready: boolean; readonly why: string };
	/** What the household's page shows. */
	readonly box: () => Promise<BoxView>;
	readonly log: Log;
	/** With it, players' paths begin with `/t/<token>`, and there are no page and no metrics. */
	readonly token?: string | undefined;
	/** Origins besides this machine's own whose pages may play. */
	readonly origins?: readonly string[];
	/** How long a client may take over the header of a request; twice that over all of it. */
	readonly patience?: Millis;
}

export interface Gateway {
	readonly port: number;
	/** What stands before `/titles` in a player's address; with a token it is a secret. */
	readonly base: string;
	/** Stops accepting, ends running reads and connections; takes less than a second. */
	close(): Promise<void>;
}

/** More connections are closed at once. Five hundred players at a time are served, with room for what they leave open. */
const MAX_CONNECTIONS = 1024;

/** Starts the HTTP server for players. Rejects with PORT_TAKEN when the port is in use, CONFIG_INVALID when others could reach it. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
	const { host, port, library, time, registry, ready, box, log } = options;
	const { token, origins = [], patience = 10 * SECOND } = options;
	if (!isLoopback(host)) {
		throw new LarderError(
			"CONFIG_INVALID",
			`gateway.host: ${host} is no loopback address`,
		);
	}
	const prefix = prefixOf(token);
	const titles = new Titles(library, prefix, time);
	const meter = createMeter(registry);
	const reception = new Reception({
		backing: { library, titles, registry, ready, box },
		meter,
		token,
		origins: new Set(origins),
		log,
	});
	const server = createServer(
		{
			// A client that sends its header by drops, or none, is let go; how long an answer takes is not limited.
			maxHeaderSize: 16 * KiB,
			headersTimeout: patience,
			requestTimeout: 2 * patience,
			connectionsCheckingInterval: patience / 5,
			keepAliveTimeout: MINUTE,
			// A block is more than this: of one connection no second is held while the first has not left.
			highWaterMark: 16 * KiB,
		},
		(req, res) => void reception.receive(req, res),
	);
	server.maxConnections = MAX_CONNECTIONS;
	server.on("drop", () => meter.turnedAway.inc());
	await listen(server, host, port);
	const bound = (server.address() as AddressInfo).port;
	const authority = host.includes(":") ? `[${host}]` : host;
	return {
		port: bound,
		base: `http://${authority}:${bound}${prefix}`,
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
