import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { MqttSession } from "./client.ts";

export interface Letter {
	readonly topic: string;
	readonly payload: Buffer;
	readonly retain?: boolean;
}

interface Urgent extends Letter {
	/** Nobody waits for it after this instant of the monotonic clock. */
	readonly expires: Millis;
}

/** How many requests and responses wait at most. */
const QUEUE = 64;

/**
 * What is to be sent, in bounded memory however long the broker is away: one letter for each slot, the newest, and a
 * short queue of urgent ones that expire. Invariant: at most one letter is on its way, and it stays here until the
 * broker has it.
 */
export class Mail {
	private readonly session: Pick<MqttSession, "connected" | "publish">;
	private readonly log: Log;
	private readonly slots = new Map<string, Letter>();
	private urgent: Urgent[] = [];
	private sending = false;
	private closed = false;

	constructor(session: Pick<MqttSession, "connected" | "publish">, log: Log) {
		this.session = session;
		this.log = log;
	}

	/** Replaces what waits in the slot. */
	put(slot: string, letter: Letter): void {
		this.slots.set(slot, letter);
		this.send();
	}

	/** Sent before all slots, or dropped after `patience`. When too many wait, the oldest gives way. */
	queue(letter: Letter, patience: Millis): void {
		this.urgent.push({ ...letter, expires: monotonic() + patience });
		if (this.urgent.length > QUEUE) {
			const lost = this.urgent.shift();
			this.log.warn({ topic: lost?.topic }, "too much waits for the broker");
		}
		this.send();
	}

	/** To be called when the broker is back. */
	send(): void {
		if (!this.sending && !this.closed) void this.sendAll();
	}

	/** Nothing is sent from here on: the goodbye is to be the last word. */
	close(): void {
		this.closed = true;
	}

	/** Nothing is awaited between finding nothing to send and stopping: a letter put in between would be left lying. */
	private async sendAll(): Promise<void> {
		this.sending = true;
		for (let next = this.next(); next; next = this.next()) await next();
		this.sending = false;
	}

	/** What sends the next letter and takes it out. */
	private next(): (() => Promise<void>) | undefined {
		if (this.closed || !this.session.connected) return undefined;
		const now = monotonic();
		this.urgent = this.urgent.filter(({ expires }) => expires > now);
		const [first] = this.urgent;
		if (first !== undefined)
			return async () => {
				if (await this.deliver(first, first.expires - now))
					this.urgent = this.urgent.filter((letter) => letter !== first);
			};
		for (const [slot, letter] of this.slots)
			return async () => {
				if ((await this.deliver(letter)) && this.slots.get(slot) === letter)
					this.slots.delete(slot);
			};
		return undefined;
	}

	/** False when the broker went away first. What a broker refuses is given up: it would be refused again. */
	private async deliver(letter: Letter, expiry?: Millis): Promise<boolean> {
		try {
			await this.session.publish(letter.topic, letter.payload, {
				retain: letter.retain ?? false,
				...(expiry !== undefined && { expiry }),
			});
			return true;
		} catch (error) {
			if (!this.session.connected) return false;
			this.log.warn({ topic: letter.topic }, describe(error));
			return true;
		}
	}
}
