import { FAR } from "../../wire/near.ts";
import type { Fetched } from "../fetch/wants.ts";

/** Blocks that are remembered until they are played; older ones count as from disk. */
const MOST = 4096;

type Arrival = Pick<Fetched, "source" | "level" | "miss">;

const FROM_DISK: Arrival = { source: "disk", level: FAR, miss: undefined };

/** Where blocks came from that were fetched ahead and not yet played: each counts as from its source, once. */
export class Arrivals {
	private readonly all = new Map<number, Arrival>();

	note(block: number, { source, level, miss }: Arrival): void {
		this.all.set(block, { source, level, miss });
		for (const oldest of this.all.keys()) {
			if (this.all.size <= MOST) break;
			this.all.delete(oldest);
		}
	}

	of(block: number): Arrival {
		return this.all.get(block) ?? FROM_DISK;
	}

	/** It is played. */
	forget(block: number): void {
		this.all.delete(block);
	}
}
