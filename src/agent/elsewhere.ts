import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { fullJitter, HOUR, MINUTE, monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { Enrolling } from "../control/enrolling.ts";
import type { Fresh } from "../control/issuances.ts";
import type { Identity } from "./identity.ts";

/** So long at one listener before another is tried, where there are several. */
const STAY: Millis = 10 * MINUTE;

export interface ElsewhereOptions {
	readonly identity: Identity;
	readonly onAnswer: (fresh: Fresh) => void;
	readonly log: Log;
	readonly stay?: Millis | undefined;
}

/** The way to another lease for a box that the broker lets in no more: the enrolment listener. */
export class Elsewhere {
	private readonly options: ElsewhereOptions;
	private way: Enrolling | undefined;
	/** When the next listener is tried, by the clock that never runs backwards. */
	private next: Millis = 0;
	private tries = 0;
	private lost = false;

	constructor(options: ElsewhereOptions) {
		this.options = options;
	}

	/** Asks, if it does not already and need not wait. */
	begin(): void {
		const { enrolUrls, ca } = this.options.identity;
		// Without it the broker lets in everybody.
		if (ca === undefined || monotonic() < this.next) return;
		if (this.way !== undefined && enrolUrls.length < 2) return;
		this.end();
		const url = enrolUrls[this.tries % enrolUrls.length];
		if (url === undefined) this.say();
		else this.ask(url, ca);
	}

	/** A lease came, or none can: asks no more, and not again before a while is over. */
	rest(): void {
		this.end();
		this.next = monotonic() + fullJitter(this.tries, MINUTE, HOUR);
	}

	/** The broker lets this box in: all is well. */
	leave(): void {
		this.end();
		this.next = this.tries = 0;
	}

	async close(): Promise<void> {
		await this.way?.close();
	}

	private ask(url: string, ca: string): void {
		const { identity, onAnswer, log, stay = STAY } = this.options;
		const { boxId: box, region, trust, keyPair, certificate } = identity;
		log.info({}, "the lease counts no more: asking at the enrolment listener");
		this.tries++;
		this.next = monotonic() + stay;
		const way = new Enrolling({
			...{ url, ca, onAnswer, log },
			identity: { box, region, trust },
			introduction: { keyPair, serial: certificate.serial },
		});
		try {
			way.start();
			this.way = way;
		} catch (error) {
			// The issuer names it, or who has stolen its key.
			log.warn({}, `no enrolment listener: ${describe(error)}`);
			if (this.tries % identity.enrolUrls.length === 0) this.rest();
			else this.next = 0;
		}
	}

	private say(): void {
		if (this.lost) return;
		this.lost = true;
		this.options.log.error(
			{},
			"the lease counts no more, and this box was never told where to ask for another: issue it a new identity",
		);
	}

	private end(): void {
		const { way } = this;
		this.way = undefined;
		void way?.close();
	}
}
