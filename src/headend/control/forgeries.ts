import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { Seldom } from "../../base/seldom.ts";
import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { Bans } from "../../wire/head.ts";
import type { Operator } from "../operator/operator.ts";

/** Somebody else signs bans with a key of this operator's: it was stolen, or a copy of this folder runs elsewhere. */
export interface Forgery {
	/** Of the key. */
	readonly serial: number;
	/** When it was last heard of, by the headend's clock. */
	readonly heardAt: Millis;
}

export interface ForgeriesOptions {
	readonly operator: Pick<Operator, "trust">;
	/** Says once more what is in force here, above what was heard. */
	readonly contradict: () => Promise<void>;
	readonly log: Log;
	readonly pause?: Millis;
}

/** Who floods us is not to flood the region through us. */
const PAUSE: Millis = SECOND;

/** Raises an alarm about what somebody else signs with our keys, and contradicts it: at once, and then so often at most. */
export class Forgeries {
	private readonly options: ForgeriesOptions;
	private readonly told = new Seldom();
	private last: Forgery | undefined;
	private pause: NodeJS.Timeout | undefined;
	private running: Promise<void> = Promise.resolve();

	constructor(options: ForgeriesOptions) {
		this.options = options;
	}

	/** Undefined when there was none, or the key counts no more. */
	get latest(): Forgery | undefined {
		const { last } = this;
		const least = this.options.operator.trust.minimum.get("revoke") ?? 0;
		return last && last.serial >= least ? last : undefined;
	}

	/** @param serial of the key that signed them */
	note({ epoch, version }: Bans, serial: number): void {
		const { log } = this.options;
		this.last = { serial, heardAt: Date.now() };
		const unlisted = this.told.pass("forged");
		if (unlisted !== undefined)
			log.error(
				{ serial, epoch, version, unlisted },
				"somebody else signs bans with a key of ours and is contradicted: larder keys rotate revoke and retire it, or stop the copy of this folder that runs elsewhere",
			);
		if (this.pause === undefined) this.contradict();
	}

	async close(): Promise<void> {
		clearTimeout(this.pause);
		await this.running;
	}

	private contradict(): void {
		const { contradict, log, pause = PAUSE } = this.options;
		const { last } = this;
		this.running = contradict().catch((error: unknown) => {
			log.error({}, `not contradicted: ${describe(error)}`);
		});
		this.pause = setTimeout(() => {
			this.pause = undefined;
			if (this.last !== last) this.contradict();
		}, pause).unref();
	}
}
