import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BrokerAccess } from "../../control/connection.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { Dispatch } from "./dispatch.ts";
import { endSession } from "./ending.ts";

/** A broker that was away is tried again after so long. */
const AGAIN: Millis = 30 * SECOND;

export interface ExpulsionOptions {
	readonly dispatch: Pick<Dispatch, "forget">;
	readonly access: BrokerAccess;
	/** Has the broker refuse whoever is shut out. */
	readonly refuse: () => Promise<void>;
	/** Why the broker lets them in all the same, if it does. */
	readonly trouble: string | undefined;
	readonly log: Log;
}

/**
 * Puts boxes that are shut out off the broker, when it can be reached, and has it let in those that are in again.
 * Invariant: `pending` holds those that may be on it yet.
 */
export class Expulsion {
	private readonly options: ExpulsionOptions;
	private readonly pending = new Set<BoxId>();
	/** Whether the broker may refuse boxes that are in again. */
	private refusesMore = false;
	private turn: Promise<void> = Promise.resolve();
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(options: ExpulsionOptions) {
		this.options = options;
	}

	/** Resolves when it was tried; never rejects. */
	expel(boxes: readonly BoxId[]): Promise<void> {
		for (const box of boxes) this.pending.add(box);
		return this.next();
	}

	/** As `expel`, for boxes that are in again. */
	spare(boxes: readonly BoxId[]): Promise<void> {
		for (const box of boxes) this.pending.delete(box);
		this.refusesMore ||= boxes.length > 0;
		return this.next();
	}

	async close(): Promise<void> {
		this.closed = true;
		clearTimeout(this.timer);
		await this.turn;
	}

	private next(): Promise<void> {
		this.turn = this.turn.then(() => this.round());
		return this.turn;
	}

	private async round(): Promise<void> {
		if (this.closed || (this.pending.size === 0 && !this.refusesMore)) return;
		const { dispatch, access, refuse, trouble, log } = this.options;
		try {
			// First: who is refused is not back at once.
			await refuse();
			this.refusesMore = false;
			for (const box of this.pending) {
				await dispatch.forget(box);
				await endSession(access, box);
				this.pending.delete(box);
				if (trouble === undefined)
					log.info({ box: short(box) }, "put off the broker");
				else
					log.warn(
						{ box: short(box) },
						`its session at the broker was ended, but ${trouble}`,
					);
			}
		} catch (error) {
			log.warn(
				{},
				`the broker does not know yet who is shut out: ${describe(error)}`,
			);
			clearTimeout(this.timer);
			this.timer = setTimeout(() => void this.next(), AGAIN).unref();
		}
	}
}
