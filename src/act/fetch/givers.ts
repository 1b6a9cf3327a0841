import { LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { missOf } from "../../plan/miss.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { Miss } from "../../wire/quality.ts";
import {
	type Candidate,
	type HolderBook,
	NeighbourFailed,
	type Neighbours,
} from "../ports.ts";
import type { Giver, ShardPlace } from "./ask.ts";
import type { Failures } from "./failures.ts";

/** Who failed is not asked for the same shard again for so long. */
export const FORGIVE: Millis = 2 * SECOND;

export interface GiversPorts {
	readonly neighbours: Neighbours;
	readonly holders: HolderBook;
	readonly failures: Failures;
	/** Wrong bytes came and were thrown away. */
	readonly onWrong: () => void;
	readonly log: Log;
}

/** Who can be asked for one shard now: whoever has some of it and has not just failed. */
export class Givers {
	/** The last failure. */
	failure: unknown;
	private readonly place: ShardPlace;
	private readonly ports: GiversPorts;
	private readonly failed = new Map<Giver, Millis>();

	constructor(place: ShardPlace, ports: GiversPorts) {
		this.place = place;
		this.ports = ports;
	}

	candidates(now: Millis): Candidate[] {
		const { title, shard } = this.place;
		return this.ports.neighbours
			.candidates(title, shard)
			.filter(({ box }) => !this.hasFailed(box, now));
	}

	hasFailed(giver: Giver, now: Millis): boolean {
		const at = this.failed.get(giver);
		return at !== undefined && now - at < FORGIVE;
	}

	/** Why a block comes from no neighbour, as it stands. */
	whyMissed(block: number, now: Millis): Miss {
		const { title, shard } = this.place;
		const { holders, neighbours, failures } = this.ports;
		const placed = holders.before(title, shard, Infinity) ?? [];
		const asked = [...this.failed.keys()].filter(isNeighbour);
		return missOf({
			held: this.candidates(now).some(
				({ blocks, window }) => blocks.has(block) && window > 0,
			),
			failures: [
				...failures.of([...asked, ...placed], now),
				...neighbours.resting(title, shard),
			],
			placed: placed.length,
			connected: placed.filter((box) => neighbours.isConnected(box)).length,
		});
	}

	/** A request ended without all that was asked for. */
	gaveUp(giver: Giver, error: unknown): void {
		if (error instanceof NeighbourFailed) this.note(giver, error.slug);
		else this.failed.set(giver, monotonic());
		this.failure = error;
		const expected =
			error instanceof NeighbourFailed || error instanceof LarderError;
		const { shard } = this.place;
		this.ports.log[expected ? "debug" : "error"](
			{ err: error, from: nameOf(giver), shard },
			"a source gave up",
		);
	}

	/** It sent what does not verify: a neighbour is cut off, the origin asked again later. */
	lied(giver: Giver, slug: string): void {
		const { shard } = this.place;
		const from = nameOf(giver);
		this.note(giver, slug);
		this.failure = new LarderError("BLOCK_WRONG", `${from}: ${slug}`);
		this.ports.onWrong();
		this.ports.log.warn({ from, slug, shard }, "wrong bytes were thrown away");
		if (giver !== "origin") this.ports.neighbours.expel(giver, slug);
	}

	private note(giver: Giver, slug: string): void {
		const now = monotonic();
		this.failed.set(giver, now);
		if (isNeighbour(giver)) this.ports.failures.note(giver, slug, now);
	}
}

function isNeighbour(giver: Giver): giver is BoxId {
	return giver !== "origin";
}

function nameOf(giver: Giver): string {
	return giver === "origin" ? giver : short(giver);
}
