import type { MqttClient } from "mqtt";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { fullJitter, SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { MAX_MESSAGE } from "../wire/json.ts";
import { faultOfBrokerUrl } from "./access.ts";
import {
	type BrokerAccess,
	connect,
	isWrongVersion,
	PACKET_ROOM,
	TIMING,
	type Timing,
	type Will,
} from "./connection.ts";
import type { TlsAccess } from "./tls.ts";

export interface SessionOptions extends BrokerAccess {
	/** The box id at a box, `headend-…` at a headend. */
	readonly clientId: string;
	readonly subscriptions?: readonly string[];
	/** Asked anew before every attempt; `close` publishes the last one as goodbye. */
	readonly will?: () => Will;
	/** Connected and subscribed. */
	readonly onUp?: () => void;
	/**
	 * One at a time: a message is acknowledged and anything more is read when the promise settles. It must not wait for
	 * `publish` of the same session, whose acknowledgement could not be read.
	 */
	readonly onMessage?: (topic: string, payload: Buffer) => Promise<void>;
	readonly log: Log;
	readonly timing?: Partial<Timing>;
}

export interface PublishOptions {
	readonly retain?: boolean;
	/** An MQTT 5 broker drops the message when it could not hand it over for this long. */
	readonly expiry?: Millis;
}

type Phase =
	| { readonly is: "waiting"; readonly retry?: NodeJS.Timeout }
	| { readonly is: "preparing" }
	| { readonly is: "connecting"; readonly client: MqttClient }
	| {
			readonly is: "up";
			readonly client: MqttClient;
			readonly steady: NodeJS.Timeout;
	  }
	| { readonly is: "closed" };

/**
 * One lasting presence at a broker: MQTT 5, or 3.1.1 where the broker speaks no 5.
 * Every attempt is a new client, so nothing is queued in it while the broker is away: what must not get
 * lost is kept, bounded, by the caller. Invariant: at most one client exists, and it belongs to `phase`.
 */
export class MqttSession {
	private readonly options: SessionOptions;
	private readonly timing: Timing;
	private phase: Phase = { is: "waiting" };
	private turned: Millis = Date.now();
	private protocol: 4 | 5 = 5;
	private refusedVersion = false;
	private attempts = 0;
	private lastWill: Will | undefined;
	private lastTrouble: string | undefined;
	/** The trouble that was last logged, which attempt after attempt brings again. */
	private saidTrouble: string | undefined;
	/** Rejects of the publishes that wait for their acknowledgement. */
	private readonly unacknowledged = new Set<(cause: Error) => void>();

	constructor(options: SessionOptions) {
		this.options = options;
		this.timing = { ...TIMING, ...options.timing };
	}

	get connected(): boolean {
		return this.phase.is === "up";
	}

	/** When it was last connected or lost, in Unix milliseconds; when it was made, before either. */
	get since(): Millis {
		return this.turned;
	}

	/** Since when it is connected and subscribed, in Unix milliseconds; undefined while it is not. */
	get upSince(): Millis | undefined {
		return this.connected ? this.turned : undefined;
	}

	/** Why there is no connection, as far as it is known. */
	get trouble(): string | undefined {
		return this.connected ? undefined : this.lastTrouble;
	}

	/** Connects, and from then on always connects again until closed. Throws BROKER_FAILED for a wrong address. */
	start(): void {
		const { url } = this.options;
		const fault = faultOfBrokerUrl(url);
		if (fault !== undefined)
			throw new LarderError("BROKER_FAILED", `the broker's address ${fault}`);
		void this.attempt();
	}

	/** The box woke or the network came back: does not wait out a long pause. */
	nudge(): void {
		if (this.phase.is !== "waiting" || this.phase.retry === undefined) return;
		clearTimeout(this.phase.retry);
		this.attempts = 0;
		void this.attempt();
	}

	/** Gives up the connection, which may be gone without a word, and connects anew. */
	reconnect(): void {
		if ("client" in this.phase) this.phase.client.stream.destroy();
		else this.nudge();
	}

	/** QoS 1; resolves when the broker has it. Rejects with BROKER_FAILED when it is away, goes away or refuses. */
	async publish(
		topic: string,
		payload: Buffer,
		{ retain = false, expiry }: PublishOptions = {},
	): Promise<void> {
		if (this.phase.is !== "up")
			throw new LarderError("BROKER_FAILED", "not connected to the broker");
		const { client } = this.phase;
		// A packet above its limit makes a broker disconnect: sent again and again, it would never stop doing so.
		const { maximumPacketSize = Infinity } = client.serverProperties ?? {};
		const limit = Math.min(MAX_MESSAGE, maximumPacketSize - PACKET_ROOM);
		if (payload.byteLength > limit)
			throw new LarderError(
				"BROKER_FAILED",
				`${payload.byteLength} bytes for ${topic} are more than the broker takes (${limit})`,
			);
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		this.unacknowledged.add(reject);
		const silence = setTimeout(() => {
			this.lastTrouble = "the broker acknowledges nothing";
			client.stream.destroy();
		}, this.timing.silence).unref();
		client.publish(
			topic,
			payload,
			{
				qos: 1,
				retain,
				...(expiry !== undefined && {
					properties: {
						messageExpiryInterval: Math.max(1, Math.ceil(expiry / SECOND)),
					},
				}),
			},
			(error) => (error ? reject(error) : resolve()),
		);
		try {
			await promise;
		} catch (cause) {
			throw new LarderError("BROKER_FAILED", `publishing ${topic} failed`, {
				cause,
			});
		} finally {
			clearTimeout(silence);
			this.unacknowledged.delete(reject);
		}
	}

	/** Says goodbye and leaves, in less than a second whatever the broker does. */
	async close(): Promise<void> {
		const farewell = this.connected && (await this.sayGoodbye());
		const { phase } = this;
		this.phase = { is: "closed" };
		if (phase.is === "waiting") clearTimeout(phase.retry);
		if (phase.is === "up") clearTimeout(phase.steady);
		if (!("client" in phase)) return;
		// A DISCONNECT discards the will; without a goodbye the will is what tells the headend.
		if (farewell) await within(300, phase.client.endAsync(), undefined);
		phase.client.stream.destroy();
		this.giveUp("the session was closed");
	}

	private async sayGoodbye(): Promise<boolean> {
		if (this.lastWill === undefined) return true;
		const { topic, payload } = this.lastWill;
		const said = this.publish(topic, payload, { retain: true }).then(
			() => true,
			() => false,
		);
		return within(500, said, false);
	}

	private async attempt(): Promise<void> {
		const phase = { is: "preparing" } as const;
		this.phase = phase;
		this.refusedVersion = false;
		this.lastWill = this.options.will?.();
		try {
			const tls = await this.options.tls?.(this.options.clientId);
			if (this.phase === phase) this.connect(tls);
		} catch (error) {
			this.lastTrouble = describe(error);
			if (this.phase === phase) this.fall();
		}
	}

	/** Throws for what is not PEM. */
	private connect(tls: TlsAccess | undefined): void {
		const client = connect({
			...this.options,
			tls,
			protocol: this.protocol,
			will: this.lastWill,
			willDelay: this.timing.willDelay,
		});
		this.phase = { is: "connecting", client };
		client.handleMessage = ({ topic, payload }, done) =>
			void this.handle(topic, Buffer.from(payload)).then(() => done());
		client.on("connect", () => void this.rise(client));
		client.on("error", (error) => {
			this.lastTrouble = error.message || String(error);
			this.refusedVersion ||= isWrongVersion(error);
		});
		client.on("disconnect", ({ reasonCode }) => {
			this.lastTrouble = `the broker ended the session, reason ${reasonCode}`;
		});
		client.once("close", () => {
			if ("client" in this.phase && this.phase.client === client) this.fall();
		});
	}

	private async handle(topic: string, payload: Buffer): Promise<void> {
		const { onMessage, log } = this.options;
		try {
			await onMessage?.(topic, payload);
		} catch (error) {
			log.error({ topic }, `not handled: ${describe(error)}`);
		}
	}

	private async rise(client: MqttClient): Promise<void> {
		try {
			const { subscriptions = [] } = this.options;
			if (subscriptions.length > 0)
				await client.subscribeAsync([...subscriptions], { qos: 1 });
		} catch (error) {
			this.lastTrouble = `not allowed to subscribe: ${describe(error)}`;
			client.stream.destroy();
			return;
		}
		if (this.phase.is !== "connecting" || this.phase.client !== client) return;
		const steady = setTimeout(() => {
			this.attempts = 0;
		}, this.timing.stable).unref();
		this.phase = { is: "up", client, steady };
		this.turned = Date.now();
		this.lastTrouble = undefined;
		this.saidTrouble = undefined;
		this.options.log.info({ protocol: this.protocol }, "broker connected");
		this.options.onUp?.();
	}

	private fall(): void {
		const { phase, lastTrouble: trouble } = this;
		if (phase.is === "up") {
			clearTimeout(phase.steady);
			this.turned = Date.now();
			this.options.log.warn({ trouble }, "broker lost");
		} else {
			const isNews = trouble !== this.saidTrouble;
			this.saidTrouble = trouble;
			const level = isNews ? "warn" : "debug";
			this.options.log[level]({ trouble }, "broker not reached");
		}
		const falls = this.refusedVersion && this.protocol === 5;
		if (this.refusedVersion) this.protocol = this.protocol === 5 ? 4 : 5;
		const pause = falls
			? 0
			: fullJitter(this.attempts++, this.timing.base, this.timing.cap);
		const retry = setTimeout(() => void this.attempt(), pause);
		this.phase = { is: "waiting", retry };
		this.giveUp("the connection to the broker was lost");
	}

	/** Nothing that was published will be acknowledged any more. */
	private giveUp(why: string): void {
		for (const reject of this.unacknowledged) reject(new Error(why));
	}
}
