import type { Millis } from "../../base/units.ts";
import type { Miss } from "../../wire/quality.ts";
import type { Giver, Purpose } from "./ask.ts";

/** One request for a run of blocks that is under way. */
export interface Flight {
	readonly giver: Giver;
	readonly purpose: Purpose;
	readonly since: Millis;
	/** How long its first block is likely to take. */
	readonly takes: Millis;
	/** Why no neighbour brings it, when the origin does. */
	readonly miss: Miss | undefined;
	/** Blocks that have not come yet, from here or from elsewhere. */
	readonly left: Set<number>;
	readonly abort: AbortController;
}

/**
 * What has been asked for and has not come.
 * Invariant: `byBlock` has exactly the blocks that are left of some flight, each with all flights that bring it.
 */
export class Flights {
	private readonly all = new Set<Flight>();
	private readonly byBlock = new Map<number, Flight[]>();

	get empty(): boolean {
		return this.all.size === 0;
	}

	/** Those that bring a block. */
	of(block: number): readonly Flight[] {
		return this.byBlock.get(block) ?? [];
	}

	/** Everybody of whom something is expected, in the order in which they were asked. */
	get givers(): readonly Giver[] {
		return [...new Set([...this.all].map(({ giver }) => giver))];
	}

	begin(
		asked: Pick<Flight, "giver" | "purpose" | "since" | "takes" | "miss">,
		first: number,
		count: number,
	): Flight {
		const left = new Set(Array.from({ length: count }, (_, i) => first + i));
		const abort = new AbortController();
		const flight: Flight = { ...asked, left, abort };
		this.all.add(flight);
		for (const block of left) {
			this.byBlock.set(block, [...this.of(block), flight]);
		}
		return flight;
	}

	/** The block has come; who was asked for nothing else besides need not send it any more. */
	arrived(block: number, from: Flight | undefined): void {
		for (const flight of this.of(block)) {
			flight.left.delete(block);
			if (flight !== from && flight.left.size === 0) this.cancel(flight);
		}
		this.byBlock.delete(block);
	}

	/** The request has ended; what did not come is nobody's any more. */
	end(flight: Flight): void {
		if (!this.all.delete(flight)) return;
		for (const block of flight.left) {
			const others = this.of(block).filter((other) => other !== flight);
			if (others.length > 0) this.byBlock.set(block, others);
			else this.byBlock.delete(block);
		}
	}

	/** Ends a request before its time. */
	cancel(flight: Flight): void {
		this.end(flight);
		flight.abort.abort(new DOMException("no longer wanted", "AbortError"));
	}

	/**
	 * Cancels requests of which nothing is wanted any more. One whose blocks have all come is let be: it ends by itself,
	 * and its connection stays usable.
	 */
	cancelUnless(isWanted: (block: number) => boolean): void {
		for (const flight of this.all) {
			const { left } = flight;
			if (left.size === 0 || [...left].some(isWanted)) continue;
			this.cancel(flight);
		}
	}
}
