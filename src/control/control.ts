import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Seldom } from "../base/seldom.ts";
import type { Clock } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Command, CommandBody } from "../wire/command.ts";
import type { Envelope, Signed } from "../wire/envelope.ts";
import type { Head } from "../wire/head.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Part, Response, State } from "../wire/reports.ts";
import type { FetchRef } from "./body.ts";
import { MqttSession } from "./client.ts";
import type { BrokerAccess, Timing } from "./connection.ts";
import type { Desired } from "./desired.ts";
import { Fills, type FillTiming, type Levels } from "./fills.ts";
import type { Standing, Taken } from "./heads.ts";
import { Inbox, type Refusal } from "./inbox.ts";
import { type Asked, type Fresh, Issuances } from "./issuances.ts";
import { Mail } from "./mail.ts";
import { type Facts, newSession, Outbox, type Report } from "./outbox.ts";
import { Qualities, type QualityTiming } from "./qualities.ts";
import { type KeyAnswer, KeyRequests } from "./requests.ts";
import type { Identity } from "./verify.ts";

/** A command for the agent to carry out; answers to key requests are not among them. */
export type Order = Exclude<CommandBody, KeyAnswer | { kind: "issuance" }>;

/** What the answer to a command may bring besides how it ended. */
export type Brought = Pick<Response, "bundle">;

export interface ControlHandlers {
	/** A newer placement is in force. */
	placement(desired: Desired): void;
	/** A newer head is in force, whether the broker brought it or `offerHead`; told in the same turn. */
	head(standing: Standing): void;
	/** The broker is there, for the first time or again. */
	connected?(): void;
	/** Carries out a command; gives what the answer brings. The headend hears how it ended; after `report` the fill levels are sent. */
	order(order: Order): Promise<Brought | undefined>;
}

export interface ControlOptions extends Identity, BrokerAccess {
	readonly version: string;
	readonly power: State["power"];
	readonly reach: State["reach"];
	/** Whether the household takes part. */
	readonly part?: Part;
	/** Which releases are for it: `linux-arm64`. */
	readonly target?: string;
	readonly update?: State["update"];
	/** Holds the last good placement and head: `<data>/control`. */
	readonly folder: string;
	/** How long this box has run: src/agent/clock.ts */
	readonly ran: Clock;
	readonly fetchRef: FetchRef;
	readonly handlers: ControlHandlers;
	readonly log: Log;
	/** Tells this run of the agent from others: 16 hex digits. */
	readonly session?: string;
	readonly timing?: Partial<
		Timing & FillTiming & QualityTiming & { readonly keyPatience: Millis }
	>;
}

/** Lines in the log about refused messages of one reason in a minute: all are counted, and who sends them could fill the disk. */
const LISTED = 10;

/** The box's end of the control plane: the operator's wishes come in, the box's reports go out. */
export class Control {
	readonly session: string;
	readonly qualities: Qualities;
	private readonly handlers: ControlHandlers;
	private readonly log: Log;
	private readonly inbox: Inbox;
	private readonly client: MqttSession;
	private readonly mail: Mail;
	private readonly outbox: Outbox;
	private readonly fills: Fills;
	private readonly keys: KeyRequests;
	private readonly issuances: Issuances;
	private readonly counts = new Map<string, number>();
	private readonly listed = new Seldom(LISTED);

	private constructor(options: ControlOptions) {
		const { box, region, version, power, reach, target, update } = options;
		const { part = "in", handlers, timing } = options;
		const session = options.session ?? newSession();
		this.session = session;
		this.handlers = handlers;
		this.log = options.log;
		this.inbox = new Inbox({
			...options,
			events: {
				placement: (desired) => this.accepted(desired),
				head: (head) => handlers.head(head),
				command: (...command) => this.command(...command),
				refused: (refusal) => this.refused(refusal),
			},
		});
		this.client = new MqttSession({
			...options,
			clientId: box,
			subscriptions: this.inbox.topics,
			will: () => this.outbox.will(),
			onUp: () => this.begin(),
			onMessage: (topic, payload) => this.inbox.receive(topic, payload),
		});
		this.mail = new Mail(this.client, options.log);
		this.outbox = new Outbox(
			this.mail,
			{
				...{ box, region, session, version, power, reach, part },
				...(target !== undefined && { target }),
				update,
			},
			options.trust.now,
		);
		this.fills = new Fills((levels) => this.outbox.fill(levels), timing);
		this.qualities = new Qualities(this.client, this.outbox, timing);
		this.keys = new KeyRequests(
			(id, title, patience) => this.outbox.requestKey(id, title, patience),
			timing?.keyPatience,
		);
		const { trust } = options;
		this.issuances = new Issuances({ box, region, trust });
	}

	/** Takes up the last good placement and head from disk and begins to connect, without waiting for it. */
	static async start(options: ControlOptions): Promise<Control> {
		const control = new Control(options);
		await control.inbox.load();
		control.client.start();
		return control;
	}

	get connected(): boolean {
		return this.client.connected;
	}

	/** When the broker was last connected or lost, in Unix milliseconds; when the agent started, before either. */
	get since(): Millis {
		return this.client.since;
	}

	/** Why the broker is away, as far as it is known. */
	get trouble(): string | undefined {
		return this.client.trouble;
	}

	/** How many messages were refused since the start, by slug. */
	get refusals(): ReadonlyMap<string, number> {
		return this.counts;
	}

	/** The placement in force. */
	get placement(): Desired | undefined {
		return this.inbox.placement;
	}

	/** What the head in force says. */
	get standing(): Standing {
		return this.inbox.standing;
	}

	/** The head to pass on to neighbours. */
	get head(): Head | undefined {
		return this.inbox.head;
	}

	/** A head from a neighbour, in force when this returns. A part is refused as `rollback` when it is older than the one in force. */
	offerHead(head: Head): Taken {
		const taken = this.inbox.offerHead(head);
		// That is what a neighbour has that was away.
		for (const refused of taken.refused)
			if (refused.slug !== "rollback")
				this.refused({ kind: "neighbour", ...refused });
		return taken;
	}

	/** The time is known now: what was left alone for want of it is judged again. */
	reconsider(): void {
		this.inbox.reconsider();
	}

	/** Tells of a changed power state or reach, or of an update. A box that wakes does not wait out its pause before it reconnects. */
	change(facts: Facts): void {
		this.outbox.change(facts);
		if (facts.power === "active") this.client.nudge();
	}

	/** Tells what became of a placement; replaces what was not sent yet. */
	report(report: Report): void {
		this.outbox.reported(report);
	}

	/** What this box attests, told until it attests something else or nothing: src/wire/attest.ts. */
	attest(statements: readonly Signed[] | undefined): void {
		this.outbox.attest(statements);
	}

	/** The fill levels as they are now; sent when they changed enough, and as a heartbeat. */
	fill(levels: Levels): void {
		this.fills.set(levels);
	}

	/** Asks for a title's key: the command that carries it, as it was signed. Rejects with TITLE_KEY_DENIED or TITLE_KEY_UNAVAILABLE. */
	key(title: TitleId, signal: AbortSignal): Promise<Buffer> {
		return this.keys.ask(title, signal);
	}

	/** Asks the issuer for another lease or for the time. Rejects with BROKER_FAILED. */
	ask(kind: Asked): Promise<Fresh> {
		return this.issuances.ask((id, patience) =>
			this.outbox.ask(kind, id, patience),
		);
	}

	/** The machine slept: the connection may be gone without a word, and is made anew. */
	reconnect(): void {
		this.client.reconnect();
	}

	/** Something changed that may let this box in: does not wait out a long pause before the next try. */
	nudge(): void {
		this.client.nudge();
	}

	/** Says goodbye; takes less than a second. */
	async close(): Promise<void> {
		this.fills.close();
		this.qualities.close();
		this.keys.close();
		this.issuances.close();
		this.mail.close();
		await this.client.close();
		await this.inbox.close();
	}

	private begin(): void {
		this.outbox.begin();
		this.fills.flush();
		this.handlers.connected?.();
	}

	private accepted(desired: Desired): void {
		const { epoch, rev } = desired;
		this.log.info({ epoch, rev }, "placement accepted");
		this.outbox.reported({ epoch, rev, phase: "accepted" });
		this.handlers.placement(desired);
	}

	private refused({ kind, slug, detail }: Refusal): void {
		this.counts.set(slug, (this.counts.get(slug) ?? 0) + 1);
		const { epoch = 0, rev = 0 } = this.placement ?? {};
		const said = `${kind}: ${detail}`.slice(0, 500);
		const isNeighbours = kind === "neighbour";
		const unlisted = this.listed.pass(isNeighbours ? `${kind} ${slug}` : slug);
		if (unlisted !== undefined)
			this.log.warn({ slug, detail: said, unlisted }, "message refused");
		// Who is next door is not to keep the broker busy.
		else if (isNeighbours) return;
		this.outbox.refused({ epoch, rev, code: slug, detail: said });
	}

	private issued(id: string, statement: Envelope): void {
		const taken = this.issuances.take(statement);
		if (!taken.ok)
			this.refused({
				kind: "command",
				slug: taken.reason,
				detail: taken.detail,
			});
		else if (!taken.value)
			this.log.debug({ id }, "an answer that nobody waits for");
	}

	private command({ id, body }: Command, envelope: Buffer): void {
		if ("request" in body) {
			if (!this.keys.settle(body, envelope))
				this.log.debug({ id }, "an answer that nobody waits for");
			return;
		}
		if (body.kind === "issuance") {
			this.issued(id, body.statement);
			return;
		}
		this.handlers.order(body).then(
			(brought) => {
				this.outbox.respond({ id, ok: true, ...brought });
				if (body.kind === "report") this.fills.flush();
			},
			(error: unknown) => {
				const code =
					error instanceof LarderError ? error.code : "COMMAND_FAILED";
				const detail = describe(error).slice(0, 500);
				this.outbox.respond({ id, ok: false, code, detail });
			},
		);
	}
}
