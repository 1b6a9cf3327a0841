import type { Millis } from "../../base/units.ts";
import { type VerifiedLeaves, verifyBlock } from "../../content/verify.ts";
import { FAR, type Level } from "../../wire/near.ts";
import { type Candidate, NeighbourFailed } from "../ports.ts";
import {
	type AskPorts,
	askLeaves,
	type Giver,
	type ShardPlace,
} from "./ask.ts";
import { Early } from "./early.ts";
import type { Flight, Flights } from "./flights.ts";
import type { Givers } from "./givers.ts";
import { Leaves } from "./leaves.ts";
import type { Wants } from "./wants.ts";

export interface JudgePorts extends Pick<AskPorts, "neighbours" | "origin"> {
	readonly wants: Wants;
	readonly flights: Flights;
	readonly givers: Givers;
	/** A good block is handed out. */
	readonly onGood: () => void;
	/** Something is known that was not. */
	readonly onNews: () => void;
}

/**
 * Judges what comes of one shard, block by block, and hands out what is good. It gets the leaves that it judges by: together with
 * the first blocks, from the same giver; from others when that fails, at last from the origin.
 * Invariant: a wanted block that has come is handed out, thrown away, or waits in `early` while no leaves are known.
 */
export class Judge {
	private readonly place: ShardPlace;
	private readonly ports: JudgePorts;
	private readonly early = new Early();
	private readonly leaves: Leaves;

	/** @param onDisk leaves that are there already */
	constructor(
		place: ShardPlace,
		onDisk: Promise<VerifiedLeaves | undefined>,
		ports: JudgePorts,
	) {
		this.place = place;
		this.ports = ports;
		this.leaves = new Leaves(place, {
			onDisk,
			ask: (giver, signal) => askLeaves(place, giver, ports, signal),
			onKnown: () => this.judgeEarly(),
			onFailed: (giver, error) => this.withheld(giver, error),
			onWrong: (giver) => this.lied(giver, "wrong-leaves"),
		});
	}

	get known(): VerifiedLeaves | undefined {
		return this.leaves.known;
	}

	/** Whether the disk has been asked for leaves. */
	get looked(): boolean {
		return this.leaves.looked;
	}

	/** Whether somebody is being asked for leaves. */
	get asking(): boolean {
		return this.leaves.asking;
	}

	/** Whether a block has come, and waits for its leaves. */
	isEarly(block: number): boolean {
		return this.early.has(block);
	}

	/** A block has come. */
	arrived(block: number, bytes: Buffer, flight: Flight): void {
		const { manifest, shard } = this.place;
		const { wants, flights } = this.ports;
		const { known } = this.leaves;
		if (!wants.has(block)) {
			flights.arrived(block, flight);
			return;
		}
		if (known === undefined) {
			this.early.keep(block, bytes, flight);
			return;
		}
		const good = verifyBlock(manifest, known, shard, block, bytes);
		if (good === undefined) {
			flights.cancel(flight);
			this.lied(flight.giver, "wrong-block");
			return;
		}
		flights.arrived(block, flight);
		this.ports.onGood();
		for (const want of wants.take(block)) {
			want.onBlock(block, {
				...{ bytes: good, source: flight.giver, miss: flight.miss },
				level: this.levelOf(flight.giver),
			});
		}
	}

	/** Asks for leaves, if it is time to. Gives when to call again without news. */
	seek(candidates: readonly Candidate[], now: Millis): Millis {
		return this.leaves.seek(this.leafGivers(candidates, now), now);
	}

	/** Somebody wants less than before. */
	tidy(): void {
		const { wants } = this.ports;
		this.early.dropUnless((block) => wants.has(block));
		if (wants.empty) this.leaves.stop();
	}

	private leafGivers(candidates: readonly Candidate[], now: Millis): Giver[] {
		const { flights, wants } = this.ports;
		const givers = new Set<Giver>([
			...flights.givers,
			...this.early.givers,
			...candidates.map(({ box }) => box),
		]);
		// Blocks that cannot be judged are as good as none: a few leaves over the trunk set them free.
		if (!this.early.empty && wants.isWorthTheTrunk) {
			givers.delete("origin");
			givers.add("origin");
		}
		return [...givers].filter(
			(giver) => !this.ports.givers.hasFailed(giver, now),
		);
	}

	private levelOf(giver: Giver): Level {
		return giver === "origin" ? FAR : this.ports.neighbours.level(giver);
	}

	private judgeEarly(): void {
		for (const [block, { bytes, flight }] of this.early.take()) {
			this.arrived(block, bytes, flight);
		}
		this.ports.onNews();
	}

	/** It gave no leaves. Who has blocks has their leaves: to send those and be silent about these is a lie. */
	private withheld(giver: Giver, error: unknown): void {
		const isSilent =
			error instanceof NeighbourFailed && error.slug === "timeout";
		if (isSilent && this.early.givers.includes(giver)) {
			this.lied(giver, "no-leaves");
			return;
		}
		this.ports.givers.gaveUp(giver, error);
		this.ports.onNews();
	}

	private lied(giver: Giver, slug: string): void {
		this.ports.givers.lied(giver, slug);
		this.early.dropFrom(giver);
		this.ports.onNews();
	}
}
