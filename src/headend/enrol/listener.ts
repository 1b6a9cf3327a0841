import { randomBytes } from "node:crypto";
import type { Log } from "../../base/log.ts";
import { MINUTE } from "../../base/time.ts";
import { MqttSession } from "../../control/client.ts";
import type { BrokerAccess, Timing } from "../../control/connection.ts";
import type { BoxId } from "../../wire/ids.ts";
import { ALL_ENROLMENTS, enrolTopic, parseTopic } from "../../wire/topics.ts";
import type { Operator } from "../operator/operator.ts";
import { headendNames } from "../tls/mosquitto.ts";

export interface ListenerOptions {
	readonly operator: Pick<Operator, "network">;
	/** How the headend gets to where it hears who enrols. */
	readonly access: BrokerAccess;
	/** What came under the name of a box. */
	readonly onRequest: (box: BoxId, message: Buffer) => Promise<void>;
	readonly log: Log;
	readonly timing?: Partial<Timing>;
}

/**
 * The headend's presence where boxes enrol. It hears and speaks on two connections, as at the broker of its boxes; their client ids
 * are drawn anew by each process, for whoever knew them could end them: strangers there choose their own.
 */
export class EnrolListener {
	private readonly ear: MqttSession;
	private readonly mouth: MqttSession;

	constructor(options: ListenerOptions) {
		const { operator, access, onRequest, log, timing } = options;
		const [up, down] = headendNames(operator.network);
		const secret = randomBytes(16).toString("hex");
		const sessionOf = (name: string) => ({
			...access,
			clientId: `${name}-${secret}`,
			log,
			...(timing && { timing }),
		});
		this.ear = new MqttSession({
			...sessionOf(up),
			subscriptions: [ALL_ENROLMENTS],
			onMessage: async (topic, payload) => {
				const address = parseTopic(topic);
				if (address?.to === "enrolment" && address.kind === "request")
					await onRequest(address.box, payload);
			},
		});
		this.mouth = new MqttSession(sessionOf(down));
	}

	/** Connects, now and whenever the connection is lost. Throws BROKER_FAILED for a wrong address. */
	start(): void {
		this.ear.start();
		this.mouth.start();
	}

	get connected(): boolean {
		return this.ear.connected && this.mouth.connected;
	}

	/** Why it is not connected, as far as it is known. */
	get trouble(): string | undefined {
		return this.ear.trouble ?? this.mouth.trouble;
	}

	/** Rejects with BROKER_FAILED. */
	answer(box: BoxId, message: Buffer): Promise<void> {
		const topic = enrolTopic(box, "answer");
		return this.mouth.publish(topic, message, { expiry: MINUTE });
	}

	async close(): Promise<void> {
		await Promise.all([this.ear.close(), this.mouth.close()]);
	}
}
