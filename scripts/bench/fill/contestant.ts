import type { Bytes } from "../../../src/base/units.ts";
import type { Network } from "../network/network.ts";

/** Where a race takes place. */
export interface Stage {
	/** An empty folder for all that is written. */
	readonly dir: string;
	/** What the source has and each box is to have. */
	readonly content: { readonly file: string; readonly size: Bytes };
	readonly network: Network;
}

/** A way to bring one file from a source to many boxes. */
export interface Contestant {
	readonly name: string;
	/** What is meant by it, for the reader of the table. */
	readonly about: string;
	open(stage: Stage, signal: AbortSignal): Promise<Race>;
}

/** Everything is set up; the boxes have nothing yet. */
export interface Race {
	/** One process for each box. Empty until they run. */
	readonly pids: () => readonly number[];
	start(signal: AbortSignal): Promise<void>;
	/** Whether a box has all of it, verified and under its final name. Throws when something that is needed has died. */
	has(box: number): boolean;
	/** What a box has, and what it is to be the same as, end to end. */
	files(box: number): {
		readonly got: readonly string[];
		readonly wanted: readonly string[];
	};
	close(): Promise<void>;
}
