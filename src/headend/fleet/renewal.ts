import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, SECOND, sleep } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { Operator } from "../operator/operator.ts";
import { Depot } from "./depot.ts";
import { renewPlacement, renewTable } from "./papers.ts";
import type { Planner, PlannerOptions } from "./planner.ts";
import type { Wishes } from "./wishes.ts";

/** Between some boxes and the next: each of them answers, and may fetch what it is to hold as a file. */
const PAUSE: Millis = SECOND;
const SOME = 50;

export interface RenewalOptions extends Pick<PlannerOptions, "publishDesired"> {
	readonly operator: Operator;
	readonly wishes: Wishes;
	readonly planner: Pick<Planner, "inTurn">;
	/** Boxes whose membership an earlier issuer signed. */
	readonly oldMembers: () => Promise<readonly BoxId[]>;
	/** Has a box ask for a new membership. */
	readonly callIn: (box: BoxId) => Promise<void>;
	readonly log: Log;
	readonly pause?: Millis;
	readonly now?: Clock;
}

/**
 * Signs anew what is in force under earlier keys, some at a time, so that boxes have it before those keys are retired. It
 * says the same as before: no box fetches or drops anything for it. Invariant: one round runs at a time.
 */
export class Renewal {
	private readonly options: RenewalOptions;
	private readonly depot: Depot;
	private readonly ending = new AbortController();
	private running: Promise<void> = Promise.resolve();

	constructor(options: RenewalOptions) {
		this.options = options;
		this.depot = new Depot(options.operator);
	}

	/** Keys may have changed. What goes wrong is logged; the next start tries again. */
	begin(): void {
		this.later(() => this.renew());
	}

	/**
	 * Keys were retired: what boxes were told under others may be what they refused before, for something newer that a thief
	 * had said. They are told once more, and those that know it do nothing.
	 */
	tellAgain(): void {
		this.later(() => this.retell());
	}

	/** There is a new issuer: boxes that are there get its membership now, the others when their lease is due. */
	callIn(): void {
		this.later(() => this.call());
	}

	/** All that was begun has come to its end. */
	get idle(): Promise<void> {
		return this.running;
	}

	async close(): Promise<void> {
		this.ending.abort();
		await this.running;
	}

	private later(work: () => Promise<void>): void {
		const { signal } = this.ending;
		this.running = this.running
			.then(() => (signal.aborted ? undefined : work()))
			.catch((error: unknown) => {
				if (signal.aborted) return;
				this.options.log.error(
					{},
					`not all was signed anew: ${describe(error)}`,
				);
			});
	}

	private async renew(): Promise<void> {
		const { planner, operator, log } = this.options;
		let done = 0;
		for (;;) {
			const some = await planner.inTurn(() => this.renewSome());
			if (some === 0) break;
			done += some;
			log.info({ done }, "signed anew by the present key");
			await this.pause();
		}
		if (done === 0) return;
		const { serial } = operator.signers.placement.granted;
		log.info({ done, serial }, "all is signed by the present key");
	}

	private async renewSome(): Promise<number> {
		const { operator, wishes, now = Date.now } = this.options;
		const { epoch, signers } = operator;
		const { serial } = signers.placement.granted;
		const tables = (await wishes.oldTables(epoch, serial)).map((table) =>
			renewTable(operator, table, now),
		);
		const told = (await wishes.oldTold(epoch, serial)).map((last) =>
			renewPlacement(operator, last, now),
		);
		await wishes.renew(tables, told, now());
		for (const table of tables) await this.depot.putTable(table);
		for (const { box, envelope } of told) await this.tell(box, envelope);
		return tables.length + told.length;
	}

	private async retell(): Promise<void> {
		const { planner, wishes, operator } = this.options;
		for (let after: string | undefined = ""; after !== undefined; ) {
			const from: string = after;
			// In its turn: what a plan says meanwhile is not to be followed by what was said before.
			after = await planner.inTurn(async () => {
				const some = await wishes.someEnvelopes(operator.epoch, from);
				for (const [box, envelope] of some) await this.tell(box, envelope);
				return some.at(-1)?.[0];
			});
			await this.pause();
		}
	}

	private async call(): Promise<void> {
		const { oldMembers, callIn, log } = this.options;
		const members = await oldMembers();
		for (const [index, box] of members.entries()) {
			if (index > 0 && index % SOME === 0) await this.pause();
			try {
				await callIn(box);
			} catch (error) {
				log.debug({ box: short(box) }, `not called: ${describe(error)}`);
			}
		}
		const boxes = members.length;
		if (boxes > 0) log.info({ boxes }, "called for new memberships");
	}

	private async tell(box: BoxId, envelope: Buffer): Promise<void> {
		const { publishDesired, log } = this.options;
		try {
			await publishDesired(box, envelope);
		} catch (error) {
			// It stands in the database, and goes out again with the next connection to the broker.
			const why = describe(error);
			log.warn({ box: short(box) }, `a placement did not go out: ${why}`);
		}
	}

	private async pause(): Promise<void> {
		await sleep(this.options.pause ?? PAUSE, this.ending.signal);
	}
}
