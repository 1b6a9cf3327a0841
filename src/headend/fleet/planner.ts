import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, DAY, MINUTE, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { handOn } from "../../plan/handon.ts";
import {
	type Assignment,
	type PlannedTitle,
	planPlacement,
} from "../../plan/placement.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { Operator } from "../operator/operator.ts";
import { Depot } from "./depot.ts";
import type { Fleet } from "./fleet.ts";
import { signPlacements, signTables } from "./papers.ts";
import type { FleetBox } from "./planned.ts";
import { assignmentOf, type Wishes } from "./wishes.ts";

/** A plan waits for this long a silence, but not for ever. */
const QUIET: Millis = 2 * SECOND;
const LONGEST_QUIET: Millis = 15 * SECOND;
/** How often time alone is reason enough to look: a box may have been gone for long. */
const ROUND: Millis = 10 * MINUTE;

export interface PlannerOptions {
	readonly operator: Operator;
	readonly fleet: Fleet;
	readonly wishes: Wishes;
	/** The published titles. */
	readonly titles: () => Promise<readonly PlannedTitle[]>;
	/** So many boxes are about to be told something new. */
	readonly beforeTold?: (boxes: number) => Promise<void>;
	/** Puts a signed placement where its box will find it, now or when the broker is back. */
	readonly publishDesired: (box: BoxId, envelope: Buffer) => Promise<void>;
	readonly log: Log;
	/** A box that is away for longer is not counted on. */
	readonly goneAfter?: Millis;
	/** How long nothing must change before a plan is made. */
	readonly quiet?: Millis;
	readonly now?: Clock;
}

export interface PlanOutcome {
	readonly titles: number;
	readonly boxes: number;
	/** Boxes that were told something new. */
	readonly told: number;
	/** Titles whose holder table is new. */
	readonly tables: number;
	/** Copies that found no box. */
	readonly missing: number;
}

/**
 * Keeps boxes told what to hold. The database comes first, then the origin, then the boxes: killed between any two, the
 * next start brings the later ones up to the earlier. Invariant: one plan is made at a time.
 */
export class Planner {
	private readonly options: PlannerOptions;
	private readonly depot: Depot;
	private readonly now: Clock;
	private running: Promise<unknown> = Promise.resolve();
	private timer: NodeJS.Timeout | undefined;
	private waitingSince: Millis | undefined;
	private rounds: NodeJS.Timeout | undefined;
	private stopListening: (() => void) | undefined;
	/** The boxes as they were last planned with. */
	private planned = "";
	private closed = false;
	private readonly listeners = new Set<(outcome: PlanOutcome) => void>();

	constructor(options: PlannerOptions) {
		this.options = options;
		this.depot = new Depot(options.operator);
		this.now = options.now ?? Date.now;
	}

	/** Brings the origin up to the database, makes a plan, and from then on follows the fleet. */
	async start(): Promise<void> {
		const { fleet, wishes } = this.options;
		const titles = await this.options.titles();
		const tables = await wishes.tables();
		for (const { id } of titles) {
			const table = tables.get(id);
			if (table !== undefined) await this.depot.putTable(table);
		}
		await this.plan();
		const told = await wishes.told();
		await this.depot.clearBodies(
			new Set([...told.values()].map(({ sha256 }) => sha256)),
		);
		this.stopListening = fleet.onChange(() => this.trigger("fleet"));
		this.rounds = setInterval(() => this.trigger("time"), ROUND).unref();
	}

	/** Something may have changed: a plan is made once nothing has been said for a moment. */
	trigger(why: "fleet" | "titles" | "time"): void {
		if (this.closed) return;
		if (why === "titles") this.planned = "";
		const quiet = this.options.quiet ?? QUIET;
		this.waitingSince ??= performance.now();
		const waited = performance.now() - this.waitingSince;
		clearTimeout(this.timer);
		this.timer = setTimeout(
			() => {
				this.waitingSince = undefined;
				this.follow().catch((error: unknown) => {
					this.options.log.error({ why }, `no plan: ${describe(error)}`);
				});
			},
			Math.max(0, Math.min(quiet, LONGEST_QUIET - waited)),
		).unref();
	}

	/** Makes a plan now and tells whom it concerns. With nothing new, nobody is told anything. */
	plan(): Promise<PlanOutcome> {
		return this.inTurn(() => this.make());
	}

	/** For whoever else writes what boxes are told: while `work` runs, no plan is made. */
	inTurn<T>(work: () => Promise<T>): Promise<T> {
		const next = this.running.then(work);
		this.running = next.catch(() => undefined);
		return next;
	}

	/** Called after each plan. */
	onPlan(listener: (outcome: PlanOutcome) => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	async close(): Promise<void> {
		this.closed = true;
		clearTimeout(this.timer);
		clearInterval(this.rounds);
		this.stopListening?.();
		await this.running;
	}

	private async follow(): Promise<void> {
		if (this.closed) return;
		const boxes = await this.boxes();
		// What a leaving box can be relieved of changes with what the others hold.
		const isLeaving = boxes.some(({ leaving }) => leaving);
		if (isLeaving || outline(boxes) !== this.planned) await this.plan();
	}

	private boxes(): Promise<FleetBox[]> {
		const { fleet, operator, goneAfter = DAY } = this.options;
		return fleet.planned(operator.region, goneAfter);
	}

	private async relieved(
		boxes: readonly FleetBox[],
		current: Assignment,
	): Promise<Assignment> {
		const leaving = boxes.filter((box) => box.leaving).map(({ id }) => id);
		if (leaving.length === 0) return current;
		const { fleet, operator } = this.options;
		const held = await fleet.held(operator.region);
		return handOn(current, new Set(leaving), held);
	}

	private async make(): Promise<PlanOutcome> {
		const { operator, wishes, fleet, log } = this.options;
		const titles = await this.options.titles();
		const boxes = await this.boxes();
		if (boxes.length === 0) {
			// Nobody has reported yet, as after the loss of the database: what stands is better than nothing.
			this.planned = "";
			return {
				titles: titles.length,
				boxes: 0,
				told: 0,
				tables: 0,
				missing: 0,
			};
		}
		const tables = await wishes.tables();
		const began = performance.now();
		const { holders, missing } = planPlacement({
			titles,
			boxes,
			copies: operator.config.copies,
			current: await this.relieved(boxes, assignmentOf(tables)),
		});
		const newTables = signTables(operator, holders, tables, this.now);
		const told = signPlacements(
			operator,
			holders,
			await wishes.told(),
			await fleet.followed(),
			await fleet.groups(operator.region),
			this.now,
		);
		for (const one of told) await this.depot.putBody(one);
		await wishes.keep(holders.keys(), newTables, told, this.now());
		for (const table of newTables) await this.depot.putTable(table);
		if (told.length > 0) await this.options.beforeTold?.(told.length);
		for (const { box, envelope } of told) {
			try {
				await this.options.publishDesired(box, envelope);
			} catch (error) {
				// It stands in the database, and goes out again with the next connection to the broker.
				log.warn({ box }, `a placement did not go out: ${describe(error)}`);
			}
		}
		this.planned = outline(boxes);
		const outcome = {
			titles: titles.length,
			boxes: boxes.length,
			told: told.length,
			tables: newTables.length,
			missing: [...missing.values()].reduce((sum, count) => sum + count, 0),
		};
		log.info(
			{ ...outcome, ms: Math.round(performance.now() - began) },
			"placement planned",
		);
		for (const listener of this.listeners) listener(outcome);
		return outcome;
	}
}

/** All of the boxes that a plan follows at once. Presence drifts; it counts when there is another reason to plan. */
function outline(boxes: readonly FleetBox[]): string {
	return boxes
		.map(
			({ id, capacity, reachable, draining }) =>
				`${id} ${capacity} ${reachable} ${draining}`,
		)
		.toSorted((a, b) => (a < b ? -1 : 1))
		.join("\n");
}
