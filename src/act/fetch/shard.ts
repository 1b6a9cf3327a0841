import { monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { blocksIn } from "../../content/geometry.ts";
import { type VerifiedLeaves, verifyBlock } from "../../content/verify.ts";
import { type Candidate, type HolderBook, NeighbourFailed } from "../ports.ts";
import {
	type AskPorts,
	askBlocks,
	askLeaves,
	type Giver,
	type ShardPlace,
} from "./ask.ts";
import { assign } from "./assign.ts";
import type { Backlog } from "./backlog.ts";
import { Brake } from "./brake.ts";
import { Early } from "./early.ts";
import { type Flight, Flights } from "./flights.ts";
import { FORGIVE, Givers, type GiversPorts } from "./givers.ts";
import { Leaves } from "./leaves.ts";
import { type Want, Wants } from "./wants.ts";

/** Nothing came for so long and nobody can be asked: those who wait for the whole are told. */
const STALL: Millis = 1.5 * SECOND;
const SOONEST: Millis = 10;

export interface ShardPorts extends AskPorts, GiversPorts {
	readonly backlog: Backlog;
	readonly holders: HolderBook;
	/** A neighbour has its hands free again: viewers may be waiting for it, or anybody when this shard has no use for it. */
	readonly onFreed: (whom: "viewers" | "anybody") => void;
	/** How long an urgent block that was asked for is waited for before somebody else is asked too. */
	readonly rescue: Millis;
}

/** A want that was added. */
export interface Ticket {
	/** A viewer waits for it from now on. */
	promote(): void;
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
	private readonly leaves: Leaves;
	private readonly early = new Early();
	private readonly givers: Givers;
	private readonly brake: Brake;
	private readonly soughtAt: Millis;
	private progressAt = monotonic();
	private crowded = false;
	/** Whether a neighbour has been freed since the last look. */
	private freed = false;
	private timer: NodeJS.Timeout | undefined;
	private woken = false;

	constructor(
		place: ShardPlace,
		onDisk: Promise<VerifiedLeaves | undefined>,
		soughtAt: Millis,
		ports: ShardPorts,
	) {
		this.place = place;
		this.soughtAt = soughtAt;
		this.ports = ports;
		this.wants = new Wants(blocksIn(place.manifest, place.shard));
		this.givers = new Givers(place, ports);
		this.brake = new Brake(ports.backlog, this.wants);
		this.leaves = new Leaves(place, {
			onDisk,
			ask: (giver, signal) => askLeaves(place, giver, ports, signal),
			onKnown: () => this.judgeEarly(),
			onFailed: (giver, error) => this.withheld(giver, error),
			onWrong: (giver) => this.lied(giver, "wrong-leaves"),
		});
	}

	/** The shard's leaves. They are known when a block is given. */
	get knownLeaves(): VerifiedLeaves {
		const { known } = this.leaves;
		if (known === undefined) throw new Error("no block was given yet");
		return known;
	}

	add(want: Want): Ticket {
		const now = monotonic();
		if (this.wants.empty) this.progressAt = now;
		const wanting = this.wants.add(want, now);
		this.wake();
		return {
			promote: () => {
				this.wants.promote(wanting, monotonic());
				this.wake();
			},
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

	/** Inventory or connections changed, or the disk caught up. Cheap: all that happens in one turn is looked at once. */
	wake(): void {
		if (this.woken) return;
		this.woken = true;
		queueMicrotask(() => {
			this.woken = false;
			this.pump();
		});
	}

	private pump(): void {
		clearTimeout(this.timer);
		this.brake.loosen();
		if (this.wants.empty) this.offer();
		if (this.wants.empty || !this.leaves.looked) return;
		const now = monotonic();
		const { place, wants, flights, soughtAt, progressAt } = this;
		const candidates = this.givers.candidates(now);
		const { wake, lacking, crowded } = assign(
			{
				place,
				wants,
				flights,
				soughtAt,
				progressAt,
				candidates,
				isEarly: (block) => this.early.has(block),
				originFailed: this.givers.hasFailed("origin", now),
				behind: this.ports.backlog.full,
				rescue: this.ports.rescue,
				ask: (giver, first, count, urgent) =>
					this.ask(giver, first, count, urgent),
			},
			now,
		);
		this.crowded = crowded;
		if (!crowded) this.offer();
		const rescue = this.leaves.seek(this.leafGivers(candidates, now), now);
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

	/** Leaves are asked for together with the first blocks, from the same giver; from others when that fails, at last from the origin. */
	private leafGivers(candidates: readonly Candidate[], now: Millis): Giver[] {
		const givers = new Set<Giver>([
			...this.flights.givers,
			...this.early.givers,
			...candidates.map(({ box }) => box),
		]);
		// Blocks that cannot be judged are as good as none: a few leaves over the trunk set them free.
		if (!this.early.empty && this.wants.isWorthTheTrunk) {
			givers.delete("origin");
			givers.add("origin");
		}
		return [...givers].filter((giver) => !this.givers.hasFailed(giver, now));
	}

	/** When it will have been quiet for too long; Infinity while something is expected. */
	private stalledIn(now: Millis): Millis {
		const { flights, leaves, ports } = this;
		const expecting = !flights.empty || leaves.asking || ports.backlog.full;
		return expecting ? Number.POSITIVE_INFINITY : this.progressAt + STALL - now;
	}

	private tellStuck(): void {
		for (const { want } of [...this.wants]) want.onStuck?.(this.givers.failure);
	}

	private ask(
		giver: Giver,
		first: number,
		count: number,
		urgent: boolean,
	): void {
		const flight = this.flights.begin(giver, first, count, monotonic());
		const { signal } = flight.abort;
		const asking = {
			run: { shard: this.place.shard, first, count },
			urgent,
			hold: () => this.brake.hold(flight.left),
			onBlock: (block: number, bytes: Buffer) => {
				if (!signal.aborted) this.arrived(block, bytes, flight);
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
				this.gaveUp(giver, error);
			},
		);
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

	private arrived(block: number, bytes: Buffer, flight: Flight): void {
		const { manifest, shard } = this.place;
		const { known } = this.leaves;
		if (!this.wants.has(block)) {
			this.flights.arrived(block, flight);
			return;
		}
		if (known === undefined) {
			this.early.keep(block, bytes, flight);
			return;
		}
		const good = verifyBlock(manifest, known, shard, block, bytes);
		if (good === undefined) {
			this.flights.cancel(flight);
			this.lied(flight.giver, "wrong-block");
			return;
		}
		this.flights.arrived(block, flight);
		this.progressAt = monotonic();
		for (const want of this.wants.take(block)) {
			want.onBlock(block, good, flight.giver);
		}
	}

	private judgeEarly(): void {
		for (const [block, { bytes, flight }] of this.early.take()) {
			this.arrived(block, bytes, flight);
		}
		this.wake();
	}

	private gaveUp(giver: Giver, error: unknown): void {
		this.givers.gaveUp(giver, error);
		this.wake();
	}

	/** It gave no leaves. Who has blocks has their leaves: to send those and be silent about these is a lie. */
	private withheld(giver: Giver, error: unknown): void {
		const isSilent =
			error instanceof NeighbourFailed && error.slug === "timeout";
		const sentBlocks = this.early.givers.includes(giver);
		if (isSilent && sentBlocks) this.lied(giver, "no-leaves");
		else this.gaveUp(giver, error);
	}

	private lied(giver: Giver, slug: string): void {
		this.givers.lied(giver, slug);
		this.early.dropFrom(giver);
		this.wake();
	}

	/** Somebody wants less than before. */
	private tidy(): void {
		this.flights.cancelUnless((block) => this.wants.has(block));
		this.early.dropUnless((block) => this.wants.has(block));
		if (!this.wants.empty) return;
		clearTimeout(this.timer);
		this.brake.loosen();
		this.leaves.stop();
	}
}
