import type { Bytes } from "../../../src/base/units.ts";
import type { Network } from "../network/network.ts";
import type { Following } from "./follow.ts";

/** Boxes that hold each part of a title before anybody watches it. */
export const COPIES = 5;

/** Where the sessions take place. */
export interface Stage {
	/** An empty folder for all that is written. */
	readonly dir: string;
	/** The folder of the film, as it was packaged. */
	readonly film: string;
	readonly network: Network;
	/** How many titles a viewer can choose from; each is the film. */
	readonly titles: number;
}

/** Bytes that players got, by where they came from. */
export interface Sources {
	readonly disk: Bytes;
	readonly neighbours: Bytes;
	readonly origin: Bytes;
}

/** A way to bring a film to viewers. */
export interface Contestant {
	readonly name: string;
	/** What is meant by it, for the reader of the table. */
	readonly about: string;
	/** Everything is set up when it resolves; the network is not capped until then. */
	open(stage: Stage, signal: AbortSignal): Promise<House>;
}

export interface House {
	/** What stands before `/master.m3u8` for the viewer at a box, as seen from its own machine. */
	urlOf(box: number, title: number): string;
	/** What the viewer at a box got so far; undefined where everything comes from one place. */
	sourcesOf(box: number): Promise<Sources | undefined>;
	/** Follows where the bytes of the viewer at a box come from; for a contestant that tells. */
	follow?(box: number): Following;
	/** Ends a box as by a power cut. */
	kill?(box: number): Promise<void>;
	close(): Promise<void>;
}
