import { HOUR, MINUTE, monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";

/** How long a shard is here before it is offered. */
const LEAST: Millis = 30 * MINUTE;
const MOST: Millis = 6 * HOUR;
/** What is due is told of within so long. */
const ROUND: Millis = MINUTE;

/**
 * When what came by watching is offered, where that is to be later: for each shard after a while of its own, drawn when it
 * comes. That is not kept: after a restart it is drawn anew, which makes a shard wait longer, never shorter.
 * Invariant: `shards` holds what is on disk, with when it is due, in rounds: small numbers, for a box may hold 65,536 shards. One
 * timer serves all of them.
 */
export class Later {
	private readonly onDue: (title: TitleId, shard: number) => void;
	private readonly now: () => Millis;
	private readonly random: () => number;
	private readonly shards = new Map<TitleId, Map<number, number>>();
	/** The round of the last look. */
	private looked: number;

	/** @param onDue a shard is offered from now on */
	constructor(
		onDue: (title: TitleId, shard: number) => void,
		{ now = monotonic, random = Math.random, every = ROUND } = {},
	) {
		this.onDue = onDue;
		this.now = now;
		this.random = random;
		this.looked = this.round;
		setInterval(() => this.look(), every).unref();
	}

	/** Something of a shard came, or all of it went. */
	note(title: TitleId, shard: number, isHere: boolean): void {
		const shards = this.shards.get(title) ?? new Map<number, number>();
		if (!isHere) {
			shards.delete(shard);
			if (shards.size === 0) this.shards.delete(title);
		} else if (!shards.has(shard)) {
			const wait = LEAST + this.random() * (MOST - LEAST);
			this.shards.set(
				title,
				shards.set(shard, Math.ceil((this.now() + wait) / ROUND)),
			);
		}
	}

	/** Whether a shard has been here for its while, or any of the title. */
	isDue(title: TitleId, shard?: number): boolean {
		const shards = this.shards.get(title);
		if (shards === undefined) return false;
		if (shard !== undefined) return this.isPast(shards.get(shard));
		for (const due of shards.values()) if (this.isPast(due)) return true;
		return false;
	}

	/** Tells of what has become due since the last look. */
	look(): void {
		const before = this.looked;
		this.looked = this.round;
		for (const [title, shards] of this.shards)
			for (const [shard, due] of shards)
				if (due > before && due <= this.looked) this.onDue(title, shard);
	}

	private get round(): number {
		return Math.floor(this.now() / ROUND);
	}

	private isPast(due = Number.POSITIVE_INFINITY): boolean {
		return due <= this.round;
	}
}
