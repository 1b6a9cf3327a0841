import type { Millis } from "../../base/units.ts";
import type { VerifiedBlock } from "../../content/verify.ts";
import type { Standing } from "../../plan/source.ts";
import type { Level } from "../../wire/near.ts";
import type { Miss } from "../../wire/quality.ts";
import type { Source } from "../ports.ts";

/** A block that came, and who gave it. */
export interface Fetched {
	readonly bytes: VerifiedBlock;
	readonly source: Source;
	/** How near that is; FAR of the origin. */
	readonly level: Level;
	/** Why it came over the trunk, if it did. */
	readonly miss: Miss | undefined;
}

/** Somebody who wants blocks of a shard. */
export interface Want {
	readonly blocks: Iterable<number>;
	/** When a viewer needs them, by the monotonic clock; Infinity when nobody does. */
	readonly deadline: Millis;
	/**
	 * For fill, which comes after all that viewers want. 32 bits by which it is in another order at each box: boxes that fill
	 * a shard side by side have something to give each other.
	 */
	readonly fill?: number;
	/** In how long the origin may be asked. */
	readonly originIn: (standing: Standing) => Millis;
	readonly onBlock: (block: number, got: Fetched) => void;
	/** Nothing has come for a while and there is nobody to ask; the last failure says why, if anything failed. */
	readonly onStuck?: (cause: unknown) => void;
}

/** A want in the book: what is left of it, and since when it has been wanted. */
export interface Wanting {
	readonly want: Want;
	readonly left: Set<number>;
	readonly since: Millis;
}

/** How a block stands with all who want it. */
export interface Demand {
	readonly block: number;
	/** The soonest. */
	readonly deadline: Millis;
	/** Of what nobody but fill wants: see Want. */
	readonly fill: number | undefined;
	readonly since: Millis;
	readonly originIn: Want["originIn"];
}

/** So many blocks are waited for in memory while the disk is behind. */
const NEXT_BLOCKS = 4;

/**
 * Who wants which blocks of one shard.
 * Invariants: `byBlock` has exactly the blocks that are left of some want, each with all who want it; `order`, if there is
 * one, has them all, and some that have come since it was made.
 */
export class Wants {
	private readonly all = new Set<Wanting>();
	private readonly byBlock = new Map<number, Set<Wanting>>();
	private order: readonly Demand[] | undefined;

	get empty(): boolean {
		return this.all.size === 0;
	}

	[Symbol.iterator](): Iterator<Wanting> {
		return this.all.values();
	}

	has(block: number): boolean {
		return this.byBlock.has(block);
	}

	/** Whether some of it is wanted for a viewer, now or soon. */
	get isWatched(): boolean {
		return [...this.all].some(({ want }) => want.fill === undefined);
	}

	/** The first blocks that viewers need. */
	get next(): readonly number[] {
		if (!this.isWatched) return [];
		const next: number[] = [];
		for (const { block, fill } of this.inOrder()) {
			if (fill !== undefined || next.length >= NEXT_BLOCKS) break;
			next.push(block);
		}
		return next;
	}

	/** Whether anybody wants something enough to ask the origin for it, sooner or later. */
	get isWorthTheTrunk(): boolean {
		return [...this.all].some(({ want }) =>
			Number.isFinite(
				want.originIn({ held: false, waited: 0, turn: 0, slack: 0 }),
			),
		);
	}

	add(want: Want, now: Millis): Wanting {
		const left = new Set(want.blocks);
		const wanting = { want, left, since: now };
		this.all.add(wanting);
		for (const block of left) {
			const who = this.byBlock.get(block);
			if (who === undefined) this.byBlock.set(block, new Set([wanting]));
			else who.add(wanting);
		}
		this.order = undefined;
		return wanting;
	}

	remove(wanting: Wanting): void {
		if (!this.all.delete(wanting)) return;
		for (const block of wanting.left) {
			const who = this.byBlock.get(block);
			who?.delete(wanting);
			if (who?.size === 0) this.byBlock.delete(block);
		}
		this.order = undefined;
	}

	/** The block has come: gives those who wanted it, and wants it no more. */
	take(block: number): readonly Want[] {
		const who = this.byBlock.get(block);
		if (who === undefined) return [];
		this.byBlock.delete(block);
		return [...who].map((wanting) => {
			wanting.left.delete(block);
			if (wanting.left.size === 0) this.all.delete(wanting);
			return wanting.want;
		});
	}

	/** What is needed soonest first, fill last; what is needed together in order. */
	*inOrder(): Generator<Demand> {
		this.order ??= this.sort();
		for (const demand of this.order) {
			if (this.byBlock.has(demand.block)) yield demand;
		}
	}

	private sort(): Demand[] {
		const demands = [...this.byBlock].map(([block, who]) =>
			demandOf(block, [...who]),
		);
		return demands.sort((a, b) => isAfter(a, b) || a.block - b.block);
	}
}

/** Infinities do not subtract. */
function isAfter({ deadline: a }: Demand, { deadline: b }: Demand): number {
	return a === b ? 0 : a < b ? -1 : 1;
}

function demandOf(block: number, who: readonly Wanting[]): Demand {
	const deadline = Math.min(...who.map(({ want }) => want.deadline));
	const since = Math.min(...who.map((one) => one.since));
	const fills = who.map(({ want }) => want.fill);
	const fill = fills.includes(undefined) ? undefined : fills[0];
	const originIn = (standing: Standing) =>
		Math.min(...who.map(({ want }) => want.originIn(standing)));
	return { block, deadline, fill, since, originIn };
}
