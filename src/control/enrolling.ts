import { randomBytes } from "node:crypto";
import type { Log } from "../base/log.ts";
import { good, type Result } from "../base/result.ts";
import { Seldom } from "../base/seldom.ts";
import { fullJitter, MINUTE, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { encodeEnrolment } from "../wire/enrol.ts";
import { envelope } from "../wire/envelope.ts";
import { parseMessage } from "../wire/json.ts";
import type { KeyPair } from "../wire/keys.ts";
import { enrolTopic } from "../wire/topics.ts";
import { MqttSession } from "./client.ts";
import type { BrokerAccess, Timing } from "./connection.ts";
import { type Fresh, readIssuance } from "./issuances.ts";
import { ANY_TIME } from "./tls.ts";
import type { Addressee } from "./verify.ts";

/** How a box introduces itself. */
export interface Introduction {
	readonly keyPair: KeyPair;
	readonly serial: string;
	readonly batch?: string;
	/** 32 bytes; none for a box that is known already. */
	readonly claim?: Uint8Array;
}

export interface EnrollingOptions extends Pick<BrokerAccess, "url"> {
	/** PEM of the root's certificate. */
	readonly ca: string;
	/** The region is not known before the answer. */
	readonly identity: Addressee;
	readonly introduction: Introduction;
	/** The operator's word, whatever it is; it is asked for again until `close`. */
	readonly onAnswer: (fresh: Fresh) => void;
	readonly log: Log;
	readonly timing?: Partial<Timing & { readonly again: Millis }>;
}

/** How long to wait for an answer before asking again; doubled each time up to ten minutes, and drawn anew by each box. */
const AGAIN: Millis = 10 * SECOND;
const AGAIN_MOST: Millis = 10 * MINUTE;

/** Asks at the enrolment listener to be let in, or to be let stay, until it is closed. */
export class Enrolling {
	private readonly options: EnrollingOptions;
	private readonly session: MqttSession;
	/** Who has the listener's broker could fill the disk. */
	private readonly listed = new Seldom();
	private nonce = "";
	private askedAt: Millis = 0;
	private attempts = 0;
	private timer: NodeJS.Timeout | undefined;

	constructor(options: EnrollingOptions) {
		this.options = options;
		const { identity, ca } = options;
		const { box, trust } = identity;
		this.session = new MqttSession({
			...options,
			// Who comes here may have a wrong idea of the time, from a thief of the issuer's key or from none: what is said is signed.
			tls: () => ({
				...{ ca, time: () => ANY_TIME },
				leastIssuer: () => trust.minimum.get("issuer") ?? 0,
			}),
			clientId: box,
			subscriptions: [enrolTopic(box, "answer")],
			onUp: () => this.ask(),
			onMessage: async (_topic, payload) => this.hear(payload),
		});
	}

	/** Throws BROKER_FAILED for a wrong address. */
	start(): void {
		this.session.start();
	}

	/** Why there is no connection, as far as it is known. */
	get trouble(): string | undefined {
		return this.session.trouble;
	}

	async close(): Promise<void> {
		clearTimeout(this.timer);
		await this.session.close();
	}

	private ask(): void {
		clearTimeout(this.timer);
		const { identity, introduction, log, timing } = this.options;
		const { keyPair, claim, ...asked } = introduction;
		this.nonce = randomBytes(16).toString("hex");
		this.askedAt = monotonic();
		const { network } = identity.trust;
		const message = encodeEnrolment(
			{ network, nonce: this.nonce, ...asked },
			keyPair,
			claim,
		);
		this.session
			.publish(enrolTopic(identity.box, "request"), message)
			.catch((error: unknown) => log.debug({ err: error }, "not asked"));
		const base = timing?.again ?? AGAIN;
		const pause = base + fullJitter(this.attempts++, base, AGAIN_MOST);
		this.timer = setTimeout(() => this.ask(), pause);
	}

	private hear(payload: Buffer): void {
		const { onAnswer, log } = this.options;
		const read = this.read(payload);
		if (!read.ok) {
			const { reason: slug, detail } = read;
			const unlisted = this.listed.pass(slug);
			if (unlisted !== undefined)
				log.warn({ slug, detail, unlisted }, "an answer was refused");
			return;
		}
		// Of an earlier question: that it is true is sure, that it is new is not.
		if (read.value.said.nonce !== this.nonce) return;
		onAnswer({ ...read.value, tookUpTo: monotonic() - this.askedAt });
	}

	private read(payload: Buffer): Result<Omit<Fresh, "tookUpTo">> {
		const outer = parseMessage(envelope, payload);
		if (!outer.ok) return outer;
		const read = readIssuance(outer.value, this.options.identity);
		return read.ok ? good({ said: read.value, envelope: outer.value }) : read;
	}
}
