import { join } from "node:path";
import type { Log } from "../base/log.ts";
import { bad, type Result } from "../base/result.ts";
import type { Clock } from "../base/time.ts";
import type { Command } from "../wire/command.ts";
import { type Head, head } from "../wire/head.ts";
import { parseMessage } from "../wire/json.ts";
import { downTopic, headTopic } from "../wire/topics.ts";
import type { FetchRef } from "./body.ts";
import { Commands } from "./commands.ts";
import { type Desired, Placements } from "./desired.ts";
import { Heads, type Standing, type Taken } from "./heads.ts";
import type { Identity } from "./verify.ts";

/** A message of which nothing was done. */
export interface Refusal {
	/** `neighbour`: a head that came from one. */
	readonly kind: "desired" | "head" | "command" | "neighbour" | "other";
	/** Stable: `bad-signature`, `rollback`, `expired`… */
	readonly slug: string;
	readonly detail: string;
}

export interface InboxEvents {
	placement(desired: Desired): void;
	head(standing: Standing): void;
	/** @param envelope as it was signed */
	command(command: Command, envelope: Buffer): void;
	refused(refusal: Refusal): void;
}

export interface InboxOptions extends Identity {
	/** Holds `desired.json`, `head.json` and `commands.json`. */
	readonly folder: string;
	/** How long this box has run: src/agent/clock.ts */
	readonly ran: Clock;
	readonly fetchRef: FetchRef;
	readonly events: InboxEvents;
	readonly log: Log;
}

type Taker = (payload: Buffer) => Promise<void>;

/** Takes what claims to come from the operator, by the broker or by neighbours, and lets through what does. */
export class Inbox {
	private readonly heads: Heads;
	private readonly placements: Placements;
	private readonly commands: Commands;
	private readonly events: InboxEvents;
	private readonly takers: ReadonlyMap<string, Taker>;
	/** The last command that cannot be judged before the time is known. */
	private early: Buffer | undefined;

	constructor(options: InboxOptions) {
		const { folder, ran, fetchRef, events, log } = options;
		const { box, region, trust } = options;
		const identity: Identity = { box, region, trust };
		this.events = events;
		this.heads = new Heads(join(folder, "head.json"), identity, ran, log);
		this.placements = new Placements({
			path: join(folder, "desired.json"),
			identity,
			fetchRef,
			onAccepted: (desired) => events.placement(desired),
			onFault: (slug, detail) =>
				events.refused({ kind: "desired", slug, detail }),
			log,
		});
		this.commands = new Commands(join(folder, "commands.json"), identity, log);
		this.takers = new Map<string, Taker>([
			[headTopic(region), async (payload) => this.takeHead(payload)],
			[
				downTopic(box, "desired"),
				async (payload) =>
					this.judge("desired", await this.placements.take(payload)),
			],
			[downTopic(box, "command"), (payload) => this.takeCommand(payload)],
		]);
	}

	/** Takes up what was accepted before the restart, without announcing it. */
	async load(): Promise<void> {
		await this.heads.load();
		await this.placements.load();
		await this.commands.load();
	}

	/** What to subscribe to. */
	get topics(): readonly string[] {
		return [...this.takers.keys()];
	}

	/** The placement in force. */
	get placement(): Desired | undefined {
		return this.placements.last;
	}

	/** What the head says. */
	get standing(): Standing {
		return this.heads.standing;
	}

	/** The head to pass on to neighbours. */
	get head(): Head | undefined {
		return this.heads.head;
	}

	/** A message of the broker; resolves when it is dealt with. One on a topic that was not subscribed to is not read. */
	async receive(topic: string, payload: Buffer): Promise<void> {
		const take = this.takers.get(topic);
		if (take === undefined) this.judge("other", bad("wrong-topic", topic));
		else await take(payload);
	}

	/** A head from anywhere, in force when this returns. What a refusal means (`rollback`: it is older) is the caller's to judge. */
	offerHead(offered: Head): Taken {
		return this.heed(this.heads.take(offered));
	}

	/** The time is known now: what was left alone for want of it is in force when this returns. */
	reconsider(): void {
		for (const refusal of this.heed(this.heads.reconsider()).refused)
			this.events.refused({ kind: "head", ...refusal });
		const { early } = this;
		this.early = undefined;
		if (early !== undefined) void this.takeCommand(early);
	}

	async close(): Promise<void> {
		await this.placements.close();
		await this.heads.close();
	}

	private heed(taken: Taken): Taken {
		if (taken.news) this.events.head(this.heads.standing);
		return taken;
	}

	/** Never rejects. */
	private async takeCommand(payload: Buffer): Promise<void> {
		const taken = await this.commands.take(payload);
		if (!taken.ok && taken.reason === "time-unknown") this.early = payload;
		else this.judge("command", taken);
		if (taken.ok) this.events.command(taken.value, payload);
	}

	private takeHead(payload: Buffer): void {
		const read = parseMessage(head, payload);
		this.judge("head", read);
		if (!read.ok) return;
		for (const refusal of this.offerHead(read.value).refused)
			this.events.refused({ kind: "head", ...refusal });
	}

	private judge(kind: Refusal["kind"], taken: Result<unknown>): void {
		if (taken.ok) return;
		const { reason: slug, detail } = taken;
		this.events.refused({ kind, slug, detail });
	}
}
