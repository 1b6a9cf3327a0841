import { monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { VerifiedLeaves } from "../../content/verify.ts";
import type { ViewerPatience } from "../../plan/source.ts";
import { pieceOf } from "../../plan/turn.ts";
import type { Miss } from "../../wire/quality.ts";
import {
	type AskPorts,
	askBlocks,
	type Purpose,
	type ShardPlace,
} from "./ask.ts";
import { assign, type Situation } from "./assign.ts";
import type { Backlog } from "./backlog.ts";
import { Brake } from "./brake.ts";
import { Flights } from "./flights.ts";
import { FORGIVE, Givers, type GiversPorts } from "./givers.ts";
import { Judge } from "./judge.ts";
import { type Want, Wants } from "./wants.ts";

/** Nothing came for so long and nobody can be asked: those who wait for the whole are told. */
const STALL: Millis = 1.5 * SECOND;
const SOONEST: Millis = 10;
/** Neighbours that fill side by side have news all the time: fill looks at it so often. */
const NEWS: Millis = 100;

export interface ShardPorts extends AskPorts, GiversPorts {
	readonly backlog: Backlog;
	/** A neighbour has its hands free again: viewers may be waiting for it, or anybody when this shard has no use for it. */
	readonly onFreed: (whom: "viewers" | "anybody") => void;
	readonly patience: ViewerPatience;
}

/** A want that was added. */
export interface Ticket {
	/** It is wanted no more; what nobody else wants is cancelled. */
	end(): void;
}

/**
 * Gets blocks of one shard for everybody who wants some, each once.
 * Invariant: a wanted block is in flight, or early, or looked at by the next `pump`; and there is a next `pump` while anything is wanted.
 */
export class ShardFetch {
	readonly place: ShardPlace;
	private readonly ports: ShardPorts;
	private readonly wants: Wants;
	private readonly flights = new Flights();
	private readonly givers: Givers;
	private readonly judge: Judge;
	private readonly brake: Brake;
	private readonly soughtAt: Millis;
	private progressAt = monotonic();
	private crowded = false;
	/** Whether a neighbour has been freed since the last look. */
	private freed = false;
	private timer: NodeJS.Timeout | undefined;
	private woken = false;
	private hearing: NodeJS.Timeout | undefined;

	constructor(
		place: ShardPlace,
		onDisk: Promise<VerifiedLeaves | undefined>,
		soughtAt: Millis,
		ports: ShardPorts,
	) {
		this.place = place;
		this.soughtAt = soughtAt;
		this.ports = ports;
		this.wants = new Wants();
		this.givers = new Givers(place, ports);
		this.brake = new Brake(ports.backlog, this.wants);
		const { wants, flights, givers } = this;
		const { neighbours, origin } = ports;
		this.judge = new Judge(place, onDisk, {
			...{ wants, flights, givers, neighbours, origin },
			onGood: () => {
				this.progressAt = monotonic();
			},
			onNews: () => this.wake(),
		});
	}

	/** The shard's leaves. They are known when a block is given. */
	get knownLeaves(): VerifiedLeaves {
		const { known } = this.judge;
		if (known === undefined) throw new Error("no block was given yet");
		return known;
	}

	add(want: Want): Ticket {
		const now = monotonic();
		if (this.wants.empty) this.progressAt = now;
		const wanting = this.wants.add(want, now);
		this.wake();
		return {
			end: () => {
				this.wants.remove(wanting);
				this.tidy();
			},
		};
	}

	/** Whether it waits for a neighbour that has its hands full. */
	get isCrowded(): boolean {
		return this.crowded && !this.wants.empty;
	}

	/** Whether a viewer wants some of it, now or soon. */
	get isWatched(): boolean {
		return this.wants.isWatched;
	}

	/** Why a block comes from no neighbour, as it stands. */
	whyMissed(block: number): Miss {
		return this.givers.whyMissed(block, monotonic());
	}

	/** Inventory or connections changed, or the disk caught up. Cheap: all that happens in one turn is looked at once. */
	wake(): void {
		if (this.woken) return;
		this.woken = true;
		queueMicrotask(() => {
			this.woken = false;
			this.pump();
		});
	}

	/** A neighbour told something of it. */
	news(): void {
		if (this.isWatched) this.wake();
		else this.hearing ??= setTimeout(() => this.pump(), NEWS);
	}

	private pump(): void {
		clearTimeout(this.timer);
		clearTimeout(this.hearing);
		this.hearing = undefined;
		this.brake.loosen();
		if (this.wants.empty) this.offer();
		if (this.wants.empty || !this.judge.looked) return;
		const now = monotonic();
		const { place, wants, flights, soughtAt, progressAt, judge } = this;
		const candidates = this.givers.candidates(now);
		const { wake, lacking, crowded } = assign(
			{
				place,
				wants,
				flights,
				soughtAt,
				candidates,
				progressAt,
				isEarly: (block) => judge.isEarly(block),
				turn: (part) =>
					this.ports.neighbours.turn(
						place.title,
						pieceOf(place.title, place.shard, part),
					),
				originFailed: this.givers.hasFailed("origin", now),
				behind: this.ports.backlog.full,
				patience: this.ports.patience,
				ask: (...asked) => this.ask(...asked),
			},
			now,
		);
		this.crowded = crowded;
		if (!crowded) this.offer();
		const rescue = judge.seek(candidates, now);
		if (lacking) this.ports.holders.dial(place.title, place.shard);
		const stalled = this.stalledIn(now);
		if (stalled <= 0) this.tellStuck();
		if (this.wants.empty) return;
		const soon = Math.min(
			wake,
			rescue,
			FORGIVE,
			stalled > 0 ? stalled : FORGIVE,
		);
		this.timer = setTimeout(() => this.pump(), Math.max(SOONEST, soon));
	}

	/** When it will have been quiet for too long; Infinity while something is expected. */
	private stalledIn(now: Millis): Millis {
		const { flights, judge, ports } = this;
		const expecting = !flights.empty || judge.asking || ports.backlog.full;
		return expecting ? Number.POSITIVE_INFINITY : this.progressAt + STALL - now;
	}

	private tellStuck(): void {
		for (const { want } of [...this.wants]) want.onStuck?.(this.givers.failure);
	}

	private ask(...[giver, run, how]: Parameters<Situation["ask"]>): void {
		const { first, count } = run;
		const purpose = this.purposeOf(how.pressing);
		const since = monotonic();
		const miss = giver === "origin" ? this.whyMissed(first) : undefined;
		const asked = { giver, purpose, since, takes: how.takes, miss };
		const flight = this.flights.begin(asked, first, count);
		const { signal } = flight.abort;
		const asking = {
			run: { shard: this.place.shard, first, count },
			purpose,
			hold: () => this.brake.hold(flight.left),
			onBlock: (block: number, bytes: Buffer) => {
				if (!signal.aborted) this.judge.arrived(block, bytes, flight);
			},
		};
		askBlocks(this.place, giver, asking, this.ports, signal).then(
			() => {
				this.flights.end(flight);
				this.landed();
				this.wake();
			},
			(error: unknown) => {
				if (signal.aborted) return;
				this.flights.end(flight);
				this.landed();
				this.givers.gaveUp(giver, error);
				this.wake();
			},
		);
	}

	private purposeOf(pressing: boolean): Purpose {
		if (pressing) return "viewer";
		return this.isWatched ? "ahead" : "fill";
	}

	/** A request has ended, and a neighbour is free. */
	private landed(): void {
		this.freed = true;
		this.ports.onFreed("viewers");
	}

	/** What is free and of no use here is offered to the other shards. */
	private offer(): void {
		if (this.freed) this.ports.onFreed("anybody");
		this.freed = false;
	}

	/** Somebody wants less than before. */
	private tidy(): void {
		this.flights.cancelUnless((block) => this.wants.has(block));
		this.judge.tidy();
		if (!this.wants.empty) return;
		clearTimeout(this.timer);
		clearTimeout(this.hearing);
		this.hearing = undefined;
		this.brake.loosen();
	}
}
