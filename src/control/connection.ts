import { connect as connectTcp, type Socket } from "node:net";
import { type IClientOptions, MqttClient } from "mqtt";
import { HOUR, MINUTE, SECOND } from "../base/time.ts";
import { type Bytes, KiB, type Millis } from "../base/units.ts";
import { MAX_MESSAGE } from "../wire/json.ts";
import { openTls, type TlsAccess } from "./tls.ts";

export interface Timing {
	/** The first reconnect is drawn from [0, base), later ones from up to `cap`. */
	readonly base: Millis;
	readonly cap: Millis;
	/** A connection that lasted this long makes the next reconnect a first one again. */
	readonly stable: Millis;
	/** How long an MQTT 5 broker waits for the box before it publishes the will. */
	readonly willDelay: Millis;
	/** What is published and not acknowledged for so long shows that the connection is of no use. */
	readonly silence: Millis;
}

export const TIMING: Timing = {
	base: SECOND,
	cap: 10 * MINUTE,
	stable: 30 * SECOND,
	willDelay: 10 * SECOND,
	silence: MINUTE,
};

/** Where the broker is and how to get in. */
export interface BrokerAccess {
	/** `mqtt://host:port` or `mqtts://host:port`. */
	readonly url: string;
	readonly username?: string;
	readonly password?: string;
	/**
	 * For `mqtts:`, asked anew before every attempt: certificates are renewed while connections live. Without it the authorities that the
	 * system trusts are believed, and no certificate is shown.
	 */
	readonly tls?: (clientId: string) => Promise<TlsAccess> | TlsAccess;
}

/** Retained, QoS 1. */
export interface Will {
	readonly topic: string;
	readonly payload: Buffer;
}

/** One attempt to be connected. */
export interface ConnectionOptions extends Omit<BrokerAccess, "tls"> {
	readonly tls: TlsAccess | undefined;
	readonly clientId: string;
	/** MQTT 3.1.1 or 5. */
	readonly protocol: 4 | 5;
	readonly will: Will | undefined;
	/** How long an MQTT 5 broker waits for the box before it publishes the will. */
	readonly willDelay: Millis;
	/** Ends what session there is under this client id, and leaves none. */
	readonly fleeting?: boolean;
}

/** Topic and properties of a packet, beside its payload. */
export const PACKET_ROOM: Bytes = KiB;

/** Begins to connect, once: MQTT.js is kept from reconnecting by itself, since it knows no jitter. Throws for what is not PEM. */
export function connect(options: ConnectionOptions): MqttClient {
	const { url, tls } = options;
	const client = new MqttClient(
		() => openStream(new URL(url), tls),
		clientOptions(options),
	);
	limitPackets(client);
	return client;
}

function openStream(url: URL, tls: TlsAccess = {}): Socket {
	const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
	const stream =
		url.protocol === "mqtts:"
			? openTls(host, Number(url.port || 8883), tls)
			: connectTcp({ host, port: Number(url.port || 1883) });
	// Held back for the sake of fuller packets, a question for a title key would cost the viewer 40 ms.
	return stream.setNoDelay(true);
}

/** Whether the broker refused because it does not speak this version of MQTT. */
export function isWrongVersion(error: Error): boolean {
	// "Unacceptable protocol version" of MQTT 3.1.1 and of MQTT 5.
	return "code" in error && (error.code === 1 || error.code === 0x84);
}

function clientOptions({
	clientId,
	username,
	password,
	protocol,
	will,
	willDelay,
	fleeting = false,
}: ConnectionOptions): IClientOptions {
	const five = protocol === 5;
	return {
		protocolVersion: protocol,
		clientId,
		clean: fleeting,
		keepalive: 30,
		connectTimeout: 10 * SECOND,
		reconnectPeriod: 0,
		resubscribe: false,
		// Else it keeps a Buffer for each of 65,536 numbers: 7 MB.
		writeCache: false,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...(five && {
			properties: {
				sessionExpiryInterval: fleeting ? 0 : HOUR / SECOND,
				maximumPacketSize: MAX_MESSAGE + PACKET_ROOM,
			},
		}),
		...(will && {
			will: {
				...will,
				qos: 1,
				retain: true,
				...(five && {
					properties: { willDelayInterval: Math.ceil(willDelay / SECOND) },
				}),
			},
		}),
	};
}

/** MQTT.js reads a packet whole before it looks at the size: ends a connection that sends more than a packet may have. */
function limitPackets(client: MqttClient): void {
	let unread = 0;
	client.on("packetreceive", () => {
		unread = 0;
	});
	client.stream.on("data", (chunk: Buffer) => {
		unread += chunk.byteLength;
		if (unread > MAX_MESSAGE + 2 * 64 * KiB) client.stream.destroy();
	});
}
