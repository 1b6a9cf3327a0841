import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { fullJitter, HOUR, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Control } from "../control/control.ts";
import { Enrolling } from "../control/enrolling.ts";
import type { Fresh } from "../control/issuances.ts";
import type { BoxClock } from "./clock.ts";
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
}

/**
 * Keeps the membership alive: asks for the time when the broker is there, for another lease when two thirds of this one
 * are over, and at the enrolment listener when the broker lets an ended one in no more.
 */
export class Lease {
	private readonly options: LeaseOptions;
	private readonly share = RENEWED_AT + Math.random() * SPREAD;
	private readonly timer: NodeJS.Timeout;
	private way: Enrolling | undefined;
	private toldTime: Millis = Number.NEGATIVE_INFINITY;
	private asking = false;
	/** Questions that brought nothing, and until when the next one waits. */
	private attempts = 0;
	private rest: Millis = 0;
	private closed = false;

	constructor(options: LeaseOptions) {
		this.options = options;
		this.timer = setInterval(() => this.look(), options.round ?? ROUND);
		this.timer.unref();
	}

	/** The broker is there: what was waited for can be asked. */
	look(): void {
		const { control, clock } = this.options;
		if (this.closed) return;
		if (!control.connected) {
			this.lookElsewhere();
			return;
		}
		this.leave();
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
		await this.way?.close();
	}

	private isDue(): boolean {
		const { notBefore, notAfter } = this.options.identity.certificate;
		const due = notBefore + this.share * (notAfter - notBefore);
		return this.options.clock.now() >= due;
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
		const { papers, refusal } = fresh.said;
		clock.learn(fresh);
		this.toldTime = clock.now();
		if (refusal === undefined) this.attempts = this.rest = 0;
		if (papers !== undefined) {
			await identity.renew(papers);
			const until = new Date(identity.certificate.notAfter).toISOString();
			log.info({ until }, "membership renewed");
			onRenewed();
		} else if (refusal !== undefined)
			log.warn({ slug: refusal }, "membership not renewed");
	}

	/** A broker that lets nobody in whose lease has ended says so; and a box without the time cannot know. */
	private lookElsewhere(): void {
		const { identity, clock, control, log } = this.options;
		const { ca, enrolUrl, certificate } = identity;
		const ended =
			clock.now() >= certificate.notAfter ||
			(control.trouble?.includes("certificate") ?? false);
		if (!ended || this.way !== undefined) return;
		if (enrolUrl === undefined || ca === undefined) return;
		log.info({}, "the lease has ended: asking at the enrolment listener");
		const { boxId: box, region, trust, keyPair } = identity;
		const way = new Enrolling({
			url: enrolUrl,
			tls: async () => ({ ca, time: clock.span }),
			identity: { box, region, trust },
			introduction: { keyPair, serial: certificate.serial },
			onAnswer: (fresh) => {
				this.take(fresh).then(
					() => {
						if (fresh.said.papers === undefined) return;
						this.leave();
						control.nudge();
					},
					(error: unknown) => log.error({ err: error }, "not renewed"),
				);
			},
			log,
		});
		this.way = way;
		way.start();
	}

	private leave(): void {
		const { way } = this;
		this.way = undefined;
		void way?.close();
	}
}
