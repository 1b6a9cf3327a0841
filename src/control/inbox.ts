import { join } from "node:path";
import type { Log } from "../base/log.ts";
import type { Result } from "../base/result.ts";
import type { Command } from "../wire/command.ts";
import { downTopic, headTopic } from "../wire/topics.ts";
import type { FetchRef } from "./body.ts";
import { Commands } from "./commands.ts";
import { type Desired, Placements } from "./desired.ts";
import { Heads, type SignedHead } from "./heads.ts";
import type { Identity } from "./verify.ts";

/** A message of which nothing was done. */
export interface Refusal {
	readonly kind: "desired" | "head" | "command";
	/** Stable: `bad-signature`, `rollback`, `expired`… */
	readonly slug: string;
	readonly detail: string;
}

export interface InboxEvents {
	placement(desired: Desired): void;
	head(head: SignedHead): void;
	command(command: Command): void;
	refused(refusal: Refusal): void;
}

export interface InboxOptions extends Identity {
	/** Holds `desired.json` and `head.json`. */
	readonly folder: string;
	readonly fetchRef: FetchRef;
	readonly events: InboxEvents;
	readonly log: Log;
}

type Taker = (payload: Buffer) => Promise<void>;

/** Takes what claims to come from the operator, by the broker or by neighbours, and lets through what does. */
export class Inbox {
	private readonly heads: Heads;
	private readonly placements: Placements;
	private readonly events: InboxEvents;
	private readonly takers: ReadonlyMap<string, Taker>;
	/** Heads come from two sides: they are taken one after the other. */
	private turn: Promise<unknown> = Promise.resolve();

	constructor(options: InboxOptions) {
		const { folder, fetchRef, events, log, box, region, trust } = options;
		const identity: Identity = { box, region, trust };
		this.events = events;
		this.heads = new Heads(join(folder, "head.json"), identity, log);
		this.placements = new Placements({
			path: join(folder, "desired.json"),
			identity,
			fetchRef,
			onAccepted: (desired) => events.placement(desired),
			onFault: (slug, detail) =>
				events.refused({ kind: "desired", slug, detail }),
			log,
		});
		const commands = new Commands(identity);
		this.takers = new Map<string, Taker>([
			[
				headTopic(region),
				async (payload) => this.judge("head", await this.offerHead(payload)),
			],
			[
				downTopic(box, "desired"),
				async (payload) =>
					this.judge("desired", await this.placements.take(payload)),
			],
			[
				downTopic(box, "command"),
				async (payload) => {
					const taken = commands.take(payload);
					this.judge("command", taken);
					if (taken.ok && taken.value) events.command(taken.value);
				},
			],
		]);
	}

	/** Takes up what was accepted before the restart, without announcing it. */
	async load(): Promise<void> {
		await this.heads.load();
		await this.placements.load();
	}

	/** What to subscribe to. */
	get topics(): readonly string[] {
		return [...this.takers.keys()];
	}

	/** What is in force. */
	last(): { readonly placement?: Desired; readonly head?: SignedHead } {
		const placement = this.placements.last;
		const head = this.heads.last;
		return { ...(placement && { placement }), ...(head && { head }) };
	}

	/** A message of the broker; resolves when it is dealt with. A topic that was not subscribed to is not listened to. */
	async receive(topic: string, payload: Buffer): Promise<void> {
		await this.takers.get(topic)?.(payload);
	}

	/** A head from anywhere: true when it is news. What a refusal means (`rollback`: it is older) is the caller's to judge. */
	offerHead(bytes: Buffer): Promise<Result<boolean>> {
		const taken = this.turn.then(() => this.takeHead(bytes));
		this.turn = taken.catch(() => undefined);
		return taken;
	}

	async close(): Promise<void> {
		await this.placements.close();
		await this.turn;
	}

	private async takeHead(bytes: Buffer): Promise<Result<boolean>> {
		const taken = await this.heads.take(bytes);
		if (!taken.ok) return taken;
		if (taken.value !== undefined) this.events.head(taken.value);
		return { ok: true, value: taken.value !== undefined };
	}

	private judge(kind: Refusal["kind"], taken: Result<unknown>): void {
		if (taken.ok) return;
		const { reason: slug, detail } = taken;
		this.events.refused({ kind, slug, detail });
	}
}
