import type { Millis } from "../../base/units.ts";
import type { VerifiedBlock } from "../../content/verify.ts";
import type { Source } from "../ports.ts";

/** Somebody who wants blocks of a shard. */
export interface Want {
	readonly blocks: Iterable<number>;
	/** Whether a viewer waits for them now. */
	readonly urgent: boolean;
	/**
	 * For fill, which comes after all that viewers want. 32 bits by which it is in another order at each box: boxes that fill
	 * a shard side by side have something to give each other.
	 */
	readonly fill?: number;
	/** How long a block is wanted until the origin may be asked, given whether a neighbour holds it. */
	readonly originAfter: (held: boolean, urgent: boolean) => Millis;
	readonly onBlock: (
		block: number,
		bytes: VerifiedBlock,
		source: Source,
	) => void;
	/** Nothing has come for a while and there is nobody to ask; the last failure says why, if anything failed. */
	readonly onStuck?: (cause: unknown) => void;
}

/** A want in the book: what is left of it, and how long it has waited. */
export interface Wanting {
	readonly want: Want;
	readonly left: Set<number>;
	urgent: boolean;
	/** When it was wanted, or became urgent. */
	since: Millis;
}

/** How a block stands with all who want it. */
export interface Demand {
	readonly block: number;
	readonly urgent: boolean;
	/** Of what nobody but fill wants: see Want. */
	readonly fill: number | undefined;
	readonly since: Millis;
	readonly originAfter: (held: boolean) => Millis;
}

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

	/** Whether a viewer waits for a block. */
	isUrgent(block: number): boolean {
		return [...(this.byBlock.get(block) ?? [])].some(({ urgent }) => urgent);
	}

	/** Whether anybody wants something enough to ask the origin for it, sooner or later. */
	get isWorthTheTrunk(): boolean {
		return [...this.all].some(({ want, urgent }) =>
			Number.isFinite(want.originAfter(false, urgent)),
		);
	}

	add(want: Want, now: Millis): Wanting {
		const left = new Set(want.blocks);
		const wanting = { want, left, urgent: want.urgent, since: now };
		this.all.add(wanting);
		for (const block of left) {
			const who = this.byBlock.get(block);
			if (who === undefined) this.byBlock.set(block, new Set([wanting]));
			else who.add(wanting);
		}
		this.order = undefined;
		return wanting;
	}

	/** A viewer has come so near that it waits for it from now on. */
	promote(wanting: Wanting, now: Millis): void {
		if (wanting.urgent) return;
		wanting.urgent = true;
		wanting.since = now;
		this.order = undefined;
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

	/** Urgent blocks first, then other blocks for viewers, then fill; each in order. */
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
		return demands.sort((a, b) => levelOf(a) - levelOf(b) || a.block - b.block);
	}
}

function demandOf(block: number, who: readonly Wanting[]): Demand {
	const urgent = who.some((one) => one.urgent);
	const pressing = urgent ? who.filter((one) => one.urgent) : who;
	const since = Math.min(...pressing.map((one) => one.since));
	const fills = who.map(({ want }) => want.fill);
	const fill = fills.includes(undefined) ? undefined : fills[0];
	const originAfter = (held: boolean) =>
		Math.min(...who.map((one) => one.want.originAfter(held, one.urgent)));
	return { block, urgent, fill, since, originAfter };
}

function levelOf({ urgent, fill }: Demand): number {
	return urgent ? 0 : fill === undefined ? 1 : 2;
}
