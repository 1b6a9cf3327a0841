import { HOUR, MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { TitleId } from "../wire/ids.ts";

/** How long a shard is here before it is offered. */
const LEAST: Millis = 30 * MINUTE;
const MOST: Millis = 6 * HOUR;

/** Does something after a while, unless what it gives back is called before. */
export type After = (wait: Millis, work: () => void) => () => void;

const after: After = (wait, work) => {
	const timer = setTimeout(work, wait).unref();
	return () => clearTimeout(timer);
};

/**
 * When what came by watching is offered, where that is to be later: for each shard after a while of its own, drawn when it
 * comes. That is not kept: after a restart it is drawn anew, which makes a shard wait longer, never shorter.
 * Invariant: `shards` holds what is on disk; of what waits it holds what ends the waiting.
 */
export class Later {
	private readonly onDue: (title: TitleId, shard: number) => void;
	private readonly after: After;
	private readonly random: () => number;
	private readonly shards = new Map<
		TitleId,
		Map<number, (() => void) | "due">
	>();

	/** @param onDue a shard is offered from now on */
	constructor(
		onDue: (title: TitleId, shard: number) => void,
		{ after: wait = after, random = Math.random } = {},
	) {
		this.onDue = onDue;
		this.after = wait;
		this.random = random;
	}

	/** Something of a shard came, or all of it went. */
	note(title: TitleId, shard: number, isHere: boolean): void {
		const shards = this.shards.get(title) ?? new Map();
		if (isHere && !shards.has(shard)) {
			this.shards.set(title, shards);
			const wait = LEAST + this.random() * (MOST - LEAST);
			const stop = this.after(wait, () => {
				shards.set(shard, "due");
				this.onDue(title, shard);
			});
			shards.set(shard, stop);
		}
		if (isHere) return;
		const waiting = shards.get(shard);
		if (typeof waiting === "function") waiting();
		shards.delete(shard);
		if (shards.size === 0) this.shards.delete(title);
	}

	/** Whether a shard has been here for its while, or any of the title. */
	isDue(title: TitleId, shard?: number): boolean {
		const shards = this.shards.get(title);
		return shard === undefined
			? [...(shards?.values() ?? [])].includes("due")
			: shards?.get(shard) === "due";
	}
}
