import { silent } from "../base/log.ts";
import { MqttSession } from "../control/client.ts";
import { HEADEND } from "../headend/control/broker.ts";
import type { BoxId } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { type Fill, fill, type Reported, reported } from "../wire/reports.ts";
import { ALL_UP, parseTopic } from "../wire/topics.ts";

/** Listens at the broker to what boxes say, as the headend does: what the desk shows went the whole way. */
export class Observer {
	readonly fills = new Map<BoxId, Fill>();
	readonly reports = new Map<BoxId, Reported>();
	/** Fill reports heard so far. */
	heard = 0;
	private readonly session: MqttSession;
	private readonly listeners = new Set<() => void>();

	constructor(brokerUrl: string) {
		this.session = new MqttSession({
			url: brokerUrl,
			clientId: `${HEADEND}observer-${process.pid}`,
			subscriptions: [ALL_UP],
			onMessage: async (topic, payload) => this.receive(topic, payload),
			log: silent,
		});
		this.session.start();
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

	async close(): Promise<void> {
		await this.session.close();
	}

	private receive(name: string, payload: Buffer): void {
		const topic = parseTopic(name);
		if (topic?.to !== "headend") return;
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
