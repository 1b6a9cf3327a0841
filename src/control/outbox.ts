import { randomBytes } from "node:crypto";
import { MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Signed } from "../wire/envelope.ts";
import type { BoxId, Region, TitleId } from "../wire/ids.ts";
import { encodeMessage } from "../wire/json.ts";
import type { Quality } from "../wire/quality.ts";
import type {
	Fill,
	Part,
	Reported,
	Request,
	Response,
	State,
} from "../wire/reports.ts";
import { qualityTopic, type Up, upTopic } from "../wire/topics.ts";
import type { Will } from "./connection.ts";
import type { Levels } from "./fills.ts";
import type { Mail } from "./mail.ts";

/** Eight random bytes in hex: tells this run of the agent from every other. */
export function newSession(): string {
	return randomBytes(8).toString("hex");
}

export interface Presence {
	readonly box: BoxId;
	readonly region: Region;
	readonly session: string;
	readonly version: string;
	readonly power: State["power"];
	readonly reach: State["reach"];
	readonly part: Part;
	readonly target?: string;
	readonly update?: State["update"];
}

/** What of it changes while the agent runs. */
export type Facts = Partial<
	Pick<Presence, "power" | "reach" | "part" | "update">
>;

/** What became of a placement. */
export type Report = Omit<Reported, "session" | "at">;

/** How long the answer to a command is worth sending. */
const RESPONSE_EXPIRY: Millis = 10 * MINUTE;

/**
 * What the box tells the headend. The newest of each kind is kept and told again whenever the broker is back: it may
 * have forgotten everything.
 */
export class Outbox {
	private readonly mail: Mail;
	private readonly now: () => Millis;
	private presence: Presence;
	/** Start of the connection; rises with every one, so that a will can be told from that of a later connection. */
	private since: Millis = 0;
	private report: Buffer | undefined;
	private attested: Buffer | undefined;

	constructor(mail: Mail, presence: Presence, now: () => Millis) {
		this.mail = mail;
		this.presence = presence;
		this.now = now;
	}

	/** The will of the next connection, which is also its goodbye. */
	will(): Will {
		this.since = Math.max(this.since + 1, this.now());
		return { topic: this.topic("state"), payload: this.state(false) };
	}

	/** Connected: the birth, and once more the last report. */
	begin(): void {
		this.birth();
		if (this.report !== undefined) this.putReport(this.report);
		if (this.attested !== undefined) this.putAttested(this.attested);
		this.mail.send();
	}

	change(facts: Facts): void {
		this.presence = { ...this.presence, ...facts };
		if (this.since > 0) this.birth();
	}

	reported(report: Report): void {
		this.report = this.encodeReport(report);
		this.putReport(this.report);
	}

	/** Not retained and in a slot of its own: a flood of forged messages must not hide what became of the placement. */
	refused(report: Omit<Report, "phase">): void {
		const payload = this.encodeReport({ ...report, phase: "refused" });
		this.mail.put("refused", { topic: this.topic("reported"), payload });
	}

	fill(levels: Levels): void {
		const { session } = this.presence;
		const fill: Fill = { session, at: this.now(), ...levels };
		this.mail.put("fill", {
			topic: this.topic("fill"),
			payload: encodeMessage(fill),
		});
	}

	/** It says nothing of this box, and stands under a name that all of the region have. */
	quality(quality: Quality): void {
		const topic = qualityTopic(this.presence.region);
		this.mail.put("quality", { topic, payload: encodeMessage(quality) });
	}

	/** Told again at every connection, until there is something else to attest or nothing any more. */
	attest(statements: readonly Signed[] | undefined): void {
		this.attested = statements && encodeMessage(statements);
		if (this.attested !== undefined) this.putAttested(this.attested);
	}

	requestKey(id: string, title: TitleId, patience: Millis): void {
		const { session } = this.presence;
		const request: Request = { id, session, kind: "key", title };
		const payload = encodeMessage(request);
		this.mail.queue({ topic: this.topic("request"), payload }, patience);
	}

	/** Asks something about this box itself; the id marks the answer. */
	ask(kind: "renew" | "time", id: string, patience: Millis): void {
		const { session } = this.presence;
		const payload = encodeMessage({ id, session, kind } satisfies Request);
		this.mail.queue({ topic: this.topic("request"), payload }, patience);
	}

	respond(answer: Omit<Response, "session">): void {
		const { session } = this.presence;
		const response: Response = { session, ...answer };
		const payload = encodeMessage(response);
		this.mail.queue(
			{ topic: this.topic("response"), payload },
			RESPONSE_EXPIRY,
		);
	}

	private birth(): void {
		this.mail.put("state", {
			topic: this.topic("state"),
			payload: this.state(true),
			retain: true,
		});
	}

	private state(online: boolean): Buffer {
		return encodeMessage({
			...this.presence,
			online,
			since: this.since,
		} satisfies State);
	}

	private encodeReport(report: Report): Buffer {
		const { session } = this.presence;
		return encodeMessage({
			session,
			at: this.now(),
			...report,
		} satisfies Reported);
	}

	private putReport(payload: Buffer): void {
		this.mail.put("reported", {
			topic: this.topic("reported"),
			payload,
			retain: true,
		});
	}

	private putAttested(payload: Buffer): void {
		this.mail.put("attest", { topic: this.topic("attest"), payload });
	}

	private topic(kind: Up): string {
		return upTopic(this.presence.box, kind);
	}
}
