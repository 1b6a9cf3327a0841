import { Socket } from "node:net";
import {
	connect as connectMqtt,
	type IClientOptions,
	type MqttClient,
} from "mqtt";
import { HOUR, SECOND } from "../base/time.ts";
import { type Bytes, KiB, type Millis } from "../base/units.ts";
import { MAX_MESSAGE } from "../wire/json.ts";

/** Where the broker is and how to get in. */
export interface BrokerAccess {
	/** `mqtt://host:port` or `mqtts://host:port`. */
	readonly url: string;
	readonly username?: string;
	readonly password?: string;
	/** PEM: the operator's CA, and the box's certificate where the broker asks for one. */
	readonly tls?: Pick<IClientOptions, "ca" | "cert" | "key">;
}

/** Retained, QoS 1. */
export interface Will {
	readonly topic: string;
	readonly payload: Buffer;
}

/** One attempt to be connected. */
export interface ConnectionOptions extends BrokerAccess {
	readonly clientId: string;
	/** MQTT 3.1.1 or 5. */
	readonly protocol: 4 | 5;
	readonly will: Will | undefined;
	/** How long an MQTT 5 broker waits for the box before it publishes the will. */
	readonly willDelay: Millis;
}

/** Topic and properties of a packet, beside its payload. */
export const PACKET_ROOM: Bytes = KiB;

/** Begins to connect, once: MQTT.js is kept from reconnecting by itself, since it knows no jitter. */
export function connect(options: ConnectionOptions): MqttClient {
	const client = connectMqtt(options.url, clientOptions(options));
	limitPackets(client);
	// Held back for the sake of fuller packets, a question for a title key would cost the viewer 40 ms.
	if (client.stream instanceof Socket) client.stream.setNoDelay(true);
	return client;
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
	tls,
	protocol,
	will,
	willDelay,
}: ConnectionOptions): IClientOptions {
	const five = protocol === 5;
	return {
		protocolVersion: protocol,
		clientId,
		clean: false,
		keepalive: 30,
		connectTimeout: 10 * SECOND,
		reconnectPeriod: 0,
		resubscribe: false,
		// Else it keeps a Buffer for each of 65,536 numbers: 7 MB.
		writeCache: false,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...tls,
		...(five && {
			properties: {
				sessionExpiryInterval: HOUR / SECOND,
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
