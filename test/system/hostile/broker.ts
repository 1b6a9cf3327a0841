// A broker that belongs to somebody else: it sees everything, says what it likes to whom it likes, and holds back what it likes.
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createServer as createTls } from "node:tls";
import { Aedes, type Client } from "aedes";
import type { Test } from "tap";
import type { BrokerTls } from "../../../src/headend/control/broker.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { parseMessage } from "../../../src/wire/json.ts";
import {
	type Reported,
	type Response,
	reported,
	response,
} from "../../../src/wire/reports.ts";
import { parseTopic, type Topic } from "../../../src/wire/topics.ts";
import { poll } from "../desk.ts";

/** A message as it went over the broker. */
export interface Passed {
	readonly topic: string;
	readonly to: Topic;
	readonly payload: Buffer;
}

export interface HostileBroker {
	readonly url: string;
	/** All that is Larder's, in the order in which it came, but for what the broker said itself. */
	readonly passed: readonly Passed[];
	/** Messages that it does not forward; they are in `passed` nevertheless. What is retained is shown to who comes. */
	hold: (topic: string) => boolean;
	/** What it forwards in the place of others, what is retained included. */
	instead: (topic: string) => Buffer | undefined;
	/**
	 * Says something to one client, whether it subscribed to that or not; resolves when the line takes more.
	 * @param client how its id begins
	 */
	say(client: string, topic: string, payload: Buffer): Promise<void>;
	/** What a box reported as refused. */
	refusals(box: BoxId): readonly Reported[];
	/** What a box answered to commands. */
	responses(box: BoxId): readonly Response[];
}

/** @param tls its certificate and key, in PEM, as the operator gave them to it; without them it speaks no TLS */
export async function hostileBroker(
	t: Test,
	tls?: Pick<BrokerTls, "cert" | "key">,
): Promise<HostileBroker> {
	const passed: Passed[] = [];
	const clients = new Map<string, Client>();
	const named = (name: string) => {
		for (const [id, client] of clients) if (id.startsWith(name)) return client;
		return undefined;
	};
	const broker: HostileBroker = {
		url: "",
		passed,
		hold: () => false,
		instead: () => undefined,
		async say(name, topic, payload) {
			const client =
				named(name) ?? (await poll("it is connected", async () => named(name)));
			await new Promise<void>((resolve, reject) =>
				client.publish(
					{
						...{ cmd: "publish", topic, payload, qos: 0 },
						...{ dup: false, retain: false },
					},
					(error) => (error ? reject(error) : resolve()),
				),
			);
		},
		refusals: (box) =>
			said(box, "reported").flatMap((payload) => {
				const read = parseMessage(reported, payload);
				return read.ok && read.value.phase === "refused" ? [read.value] : [];
			}),
		responses: (box) =>
			said(box, "response").flatMap((payload) => {
				const read = parseMessage(response, payload);
				return read.ok ? [read.value] : [];
			}),
	};
	const said = (box: BoxId, kind: string) =>
		passed.flatMap(({ to, payload }) =>
			to.to === "headend" && to.box === box && to.kind === kind
				? [payload]
				: [],
		);
	const aedes = await Aedes.createBroker({
		authorizeForward: (_, packet) => {
			const payload = broker.instead(packet.topic);
			if (payload !== undefined) packet.payload = payload;
			return broker.hold(packet.topic) ? undefined : packet;
		},
	});
	aedes.on("clientReady", (client) => clients.set(client.id, client));
	aedes.on("clientDisconnect", ({ id }) => clients.delete(id));
	aedes.on("publish", ({ topic, payload }, client) => {
		const to = parseTopic(topic);
		if (client === null || to === undefined) return;
		passed.push({ topic, to, payload: Buffer.from(payload) });
	});
	const server = tls
		? createTls(tls, aedes.handle)
		: createServer(aedes.handle);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(async () => {
		await new Promise<void>((resolve) => aedes.close(resolve));
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	const scheme = tls ? "mqtts" : "mqtt";
	return Object.assign(broker, { url: `${scheme}://127.0.0.1:${port}` });
}
