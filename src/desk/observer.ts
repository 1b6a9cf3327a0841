import { LarderError } from "../base/errors.ts";
import { silent } from "../base/log.ts";
import { SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { MqttSession } from "../control/client.ts";
import type { BrokerAccess } from "../control/connection.ts";
import { HEADEND } from "../headend/control/broker.ts";
import type { BoxId, Region } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { type Fill, fill, type Reported, reported } from "../wire/reports.ts";
import {
	ALL_UP,
	downTopic,
	headTopic,
	parseTopic,
	upTopic,
} from "../wire/topics.ts";

const BROKER_LIMIT: Millis = 5 * SECOND;

/**
 * Listens at the broker to what the desk's boxes say, as the headend does: what the desk shows went the whole way.
 * A broker that others use too brings boxes of other operators; they are passed over.
 */
export class Observer {
	readonly fills = new Map<BoxId, Fill>();
	readonly reports = new Map<BoxId, Reported>();
	/** Fill reports heard so far. */
	heard = 0;
	private readonly brokerUrl: string;
	private readonly session: MqttSession;
	private connected = Promise.withResolvers<true>();
	private readonly boxes = new Set<BoxId>();
	private readonly listeners = new Set<() => void>();

	constructor(access: BrokerAccess) {
		this.brokerUrl = access.url;
		this.session = new MqttSession({
			...access,
			clientId: `${HEADEND}observer-${process.pid}`,
			subscriptions: [ALL_UP],
			onUp: () => this.connected.resolve(true),
			onMessage: async (topic, payload) => this.receive(topic, payload),
			log: silent,
			// Fill levels are not retained: what is said while it is away is lost on it.
			timing: { base: 100, cap: SECOND },
		});
	}

	/** Connects. Throws BROKER_FAILED when the broker does not let it in within seconds. */
	async open(): Promise<void> {
		this.session.start();
		await this.listening();
	}

	/** The broker is there again: connects without waiting out a pause. Throws BROKER_FAILED as `open` does. */
	async reopen(): Promise<void> {
		if (this.session.connected) return;
		this.connected = Promise.withResolvers();
		this.session.nudge();
		await this.listening();
	}

	private async listening(): Promise<void> {
		if (await within(BROKER_LIMIT, this.connected.promise, false)) return;
		const why = this.session.trouble ?? "it does not answer";
		throw new LarderError(
			"BROKER_FAILED",
			`no way into the broker ${this.brokerUrl}: ${why}`,
		);
	}

	/** Listens to this box from now on. */
	follow(box: BoxId): void {
		this.boxes.add(box);
	}

	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/** Resolves once `check` holds; looks again at every message. */
	async until(check: () => boolean, signal: AbortSignal): Promise<void> {
		if (check()) return;
		await new Promise<void>((resolve, reject) => {
			const end = this.onChange(() => {
				if (!check()) return;
				end();
				signal.removeEventListener("abort", abort);
				resolve();
			});
			const abort = () => {
				end();
				reject(signal.reason as Error);
			};
			if (signal.aborted) abort();
			signal.addEventListener("abort", abort, { once: true });
		});
	}

	/** Takes back what a broker that goes on running would keep of the boxes and their region. */
	async forget(region: Region): Promise<void> {
		if (!this.session.connected) return;
		const topics = [...this.boxes].flatMap((box) => [
			downTopic(box, "desired"),
			upTopic(box, "state"),
			upTopic(box, "reported"),
		]);
		const nothing = Buffer.alloc(0);
		for (const topic of [...topics, headTopic(region)])
			await this.session.publish(topic, nothing, { retain: true });
	}

	async close(): Promise<void> {
		await this.session.close();
	}

	private receive(name: string, payload: Buffer): void {
		const topic = parseTopic(name);
		if (topic?.to !== "headend" || !this.boxes.has(topic.box)) return;
		if (topic.kind === "fill") {
			const read = parseMessage(fill, payload);
			if (!read.ok) return;
			this.heard++;
			this.fills.set(topic.box, read.value);
		} else if (topic.kind === "reported") {
			const read = parseMessage(reported, payload);
			if (!read.ok) return;
			this.reports.set(topic.box, read.value);
		} else return;
		for (const listener of this.listeners) listener();
	}
}
