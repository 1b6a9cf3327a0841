import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { HOUR } from "../base/time.ts";
import type { Envelope } from "../wire/envelope.ts";
import type { KeyPair } from "../wire/keys.ts";
import { issueHeadend, type Membership } from "./operator/issue.ts";
import type { Operator } from "./operator/operator.ts";

/** The headend's own membership, which it gives itself anew in time, however long it runs. Its key stays. */
export class OwnLease {
	private readonly operator: Operator;
	private readonly log: Log;
	private readonly timer: NodeJS.Timeout;
	private membership: Membership;
	private told: () => void = () => undefined;

	private constructor(operator: Operator, membership: Membership, log: Log) {
		this.operator = operator;
		this.membership = membership;
		this.log = log;
		this.timer = setInterval(() => void this.renew(), HOUR).unref();
	}

	/** Throws OPERATOR_INVALID for a damaged keys/headend.json. */
	static async open(operator: Operator, log: Log): Promise<OwnLease> {
		return new OwnLease(operator, await issueHeadend(operator), log);
	}

	get pair(): KeyPair {
		return this.membership.pair;
	}

	/** The newest. */
	get certificate(): Envelope {
		return this.membership.certificate;
	}

	/** Called when there is another. */
	onRenewed(listener: () => void): void {
		this.told = listener;
	}

	close(): void {
		clearInterval(this.timer);
	}

	/** Makes another if it is time, or if there is a new issuer. Never rejects: there are days left for trying again. */
	async renew(): Promise<void> {
		try {
			const { certificate } = this.membership;
			this.membership = await issueHeadend(this.operator);
			if (this.certificate.payload !== certificate.payload) this.told();
		} catch (error) {
			const why = describe(error);
			this.log.error({}, `the headend's membership is not renewed: ${why}`);
		}
	}
}
