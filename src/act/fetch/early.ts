import type { Giver } from "./ask.ts";
import type { Flight } from "./flights.ts";

interface EarlyBlock {
	readonly bytes: Buffer;
	readonly flight: Flight;
}

/** Blocks of one shard that overtook their leaves: nobody can say yet whether they are good. */
export class Early {
	private readonly blocks = new Map<number, EarlyBlock>();

	get empty(): boolean {
		return this.blocks.size === 0;
	}

	/** Who gave some. */
	get givers(): readonly Giver[] {
		return [...this.blocks.values()].map(({ flight }) => flight.giver);
	}

	has(block: number): boolean {
		return this.blocks.has(block);
	}

	keep(block: number, bytes: Buffer, flight: Flight): void {
		this.blocks.set(block, { bytes, flight });
	}

	/** Gives all of them up to be judged. */
	take(): readonly (readonly [number, EarlyBlock])[] {
		const all = [...this.blocks];
		this.blocks.clear();
		return all;
	}

	/** Throws away what a liar gave. */
	dropFrom(giver: Giver): void {
		for (const [block, { flight }] of this.blocks) {
			if (flight.giver === giver) this.blocks.delete(block);
		}
	}

	/** Throws away what nobody wants. */
	dropUnless(isWanted: (block: number) => boolean): void {
		for (const block of this.blocks.keys()) {
			if (!isWanted(block)) this.blocks.delete(block);
		}
	}
}
