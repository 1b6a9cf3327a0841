import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { fullJitter, HOUR, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Control } from "../control/control.ts";
import type { Fresh } from "../control/issuances.ts";
import { isOverCertificates } from "../control/tls.ts";
import { stillCounts } from "../control/verify.ts";
import type { BoxClock } from "./clock.ts";
import { Elsewhere } from "./elsewhere.ts";
import type { Identity } from "./identity.ts";

/** Looked at so often. */
const ROUND: Millis = 10 * SECOND;
/** The time is asked for again so often. */
const TIME_KEPT: Millis = 6 * HOUR;
/** A lease is renewed when so much of it is over, and up to so much more: boxes that were made together do not ask together. */
const RENEWED_AT = 2 / 3;
const SPREAD = 1 / 12;

export interface LeaseOptions {
	readonly identity: Identity;
	readonly clock: BoxClock;
	readonly control: Pick<Control, "ask" | "connected" | "trouble" | "nudge">;
	/** Neighbours are to see the new certificate. */
	readonly onRenewed: () => void;
	readonly log: Log;
	readonly round?: Millis;
	/** So long at one enrolment listener before another is tried; for tests. */
	readonly stay?: Millis;
}

/**
 * Keeps the membership alive: asks for the time when the broker is there, for another lease when two thirds of this one
 * are over, it begins in the future or its issuer counts no more, and at the enrolment listener when the broker lets this box in no more.
 */
export class Lease {
	private readonly options: LeaseOptions;
	private readonly share = RENEWED_AT + Math.random() * SPREAD;
	private readonly timer: NodeJS.Timeout;
	private readonly elsewhere: Elsewhere;
	private toldTime: Millis = Number.NEGATIVE_INFINITY;
	private asking = false;
	/** Questions that brought nothing, and until when the next one waits. */
	private attempts = 0;
	private rest: Millis = 0;
	private closed = false;

	constructor(options: LeaseOptions) {
		this.options = options;
		const { identity, log, stay } = options;
		this.elsewhere = new Elsewhere({
			...{ identity, log, stay },
			onAnswer: (fresh) => void this.takeElsewhere(fresh),
		});
		this.timer = setInterval(() => this.look(), options.round ?? ROUND);
		this.timer.unref();
	}

	/** The broker is there: what was waited for can be asked. */
	look(): void {
		const { control, clock } = this.options;
		if (this.closed) return;
		if (!control.connected) {
			if (this.isShutOut) this.elsewhere.begin();
			return;
		}
		this.elsewhere.leave();
		if (this.isDue()) void this.ask("renew");
		else if (!clock.isKnown || clock.now() - this.toldTime > TIME_KEPT)
			void this.ask("time");
	}

	/** The operator wants a new membership now. Rejects as `Control.ask` does, or when there is none for this box. */
	async renew(): Promise<void> {
		await this.take(await this.options.control.ask("renew"));
	}

	async close(): Promise<void> {
		this.closed = true;
		clearInterval(this.timer);
		await this.elsewhere.close();
	}

	private isDue(): boolean {
		const { notBefore, notAfter } = this.options.identity.certificate;
		const due = notBefore + this.share * (notAfter - notBefore);
		const { clock } = this.options;
		// Whoever gave it thought that it was later, and neighbours know better.
		const isOfTheFuture = clock.latest() < notBefore;
		return clock.now() >= due || isOfTheFuture || this.isRetired;
	}

	/** Never rejects; the next round asks again. */
	private async ask(kind: "renew" | "time"): Promise<void> {
		if (this.asking || monotonic() < this.rest) return;
		this.asking = true;
		const { control, log } = this.options;
		// A headend that was away must not be met by all boxes at once, again and again.
		this.rest = monotonic() + fullJitter(++this.attempts, ROUND, HOUR);
		try {
			await this.take(await control.ask(kind));
			// The time may show that the lease is due.
			if (kind === "time" && this.isDue()) await this.renew();
		} catch (error) {
			log.info({ asked: kind }, `no answer: ${describe(error)}`);
		} finally {
			this.asking = false;
		}
	}

	private async take(fresh: Fresh): Promise<void> {
		const { clock, identity, onRenewed, log } = this.options;
		const { papers, mandate, refusal } = fresh.said;
		clock.learn(fresh);
		this.toldTime = clock.now();
		if (papers !== undefined) {
			await identity.renew(papers, mandate).catch((error: unknown) => {
				const isOther =
					!(error instanceof LarderError) || error.code !== "STORE_UNUSABLE";
				if (isOther) throw error;
				// A disk in trouble must not end a membership: it is asked for anew after a restart.
				log.error({}, describe(error));
			});
			const until = new Date(identity.certificate.notAfter).toISOString();
			log.info({ until }, "membership renewed");
			onRenewed();
		} else if (refusal !== undefined)
			log.warn({ slug: refusal }, "membership not renewed");
		// Else what came was nothing that helps, and would not the next time.
		if (!this.isDue()) this.attempts = this.rest = 0;
	}

	/** Whether the broker lets this box in no more. One that does not know the time, or which keys count, hears that from the broker. */
	private get isShutOut(): boolean {
		const { identity, clock, control } = this.options;
		return (
			clock.now() >= identity.certificate.notAfter ||
			this.isRetired ||
			isOverCertificates(control.trouble ?? "")
		);
	}

	private get isRetired(): boolean {
		const { envelope, trust } = this.options.identity;
		return !stillCounts(envelope, trust);
	}

	private async takeElsewhere(fresh: Fresh): Promise<void> {
		try {
			await this.take(fresh);
			if (fresh.said.papers === undefined) return;
			this.elsewhere.rest();
			this.options.control.nudge();
		} catch (error) {
			this.options.log.error({ err: error }, "not renewed");
		}
	}
}
