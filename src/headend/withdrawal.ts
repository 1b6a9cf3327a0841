import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { Purges } from "./fleet/purges.ts";
import type { Limbo } from "./publish/limbo.ts";
import type { TitleRecord } from "./publish/titles.ts";

const SWEEP: Millis = MINUTE;

export interface WithdrawalOptions {
	readonly purges: Purges;
	readonly limbo: Limbo;
	/** The published titles. */
	readonly titles: () => readonly TitleRecord[];
	/** The version of the last bans; boxes obey only what is dated after that. */
	readonly bannedAt: () => Millis | undefined;
	/** Tells the region what is in force now. */
	readonly announce: () => Promise<void>;
	readonly log: Log;
}

/**
 * Takes titles back: off the shelf and out of the region at once, and for good a day later. The database comes first, then the
 * files, then the region; whatever is missing of that is done at the next sweep. Invariant: one thing at a time.
 */
export class Withdrawal {
	private readonly options: WithdrawalOptions;
	private turn: Promise<unknown> = Promise.resolve();
	private timer: NodeJS.Timeout | undefined;

	constructor(options: WithdrawalOptions) {
		this.options = options;
	}

	/** Brings the files up to the database, now and from then on. */
	async start(): Promise<void> {
		await this.inTurn(() => this.settle());
		this.timer = setInterval(() => {
			this.inTurn(() => this.settle()).catch((error: unknown) => {
				const { log } = this.options;
				log.error({}, `titles were not put away: ${describe(error)}`);
			});
		}, SWEEP).unref();
	}

	/** Takes a title back. Throws REQUEST_INVALID or PURGE_LIMIT. */
	purge(title: TitleId, why: string): Promise<void> {
		const { purges, titles, bannedAt, announce } = this.options;
		return this.inTurn(async () => {
			const record = titles().find(({ id }) => id === title);
			await purges.order(title, record, why, bannedAt() ?? 0);
			await this.settle();
			await announce();
		});
	}

	/** Gives it back. Throws TITLE_UNKNOWN, or REQUEST_INVALID when it is too late. */
	giveBack(title: TitleId): Promise<void> {
		const { purges, limbo, announce } = this.options;
		return this.inTurn(async () => {
			await purges.countermand(title);
			const isHere = await limbo.bringBack(title);
			await announce();
			if (!isHere)
				throw new LarderError(
					"TITLE_UNKNOWN",
					`boxes may have ${short(title)} again, but its record is not here: publish it anew`,
				);
		});
	}

	/** Puts away what was taken back elsewhere. */
	settled(): Promise<void> {
		return this.inTurn(() => this.settle());
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.turn;
	}

	private async settle(): Promise<void> {
		const { purges, limbo, log } = this.options;
		const { back, away, over } = await purges.unsettled();
		for (const title of back) await limbo.bringBack(title);
		for (const title of away) await limbo.hide(title);
		for (const title of over) {
			await limbo.destroy(title);
			await purges.removed(title);
			log.info({ title: short(title) }, "a title and its key are gone");
		}
	}

	private inTurn(work: () => Promise<void>): Promise<void> {
		const next = this.turn.then(work);
		this.turn = next.catch(() => undefined);
		return next;
	}
}
