import { Pacer } from "../act/pacer.ts";
import type { Bytes } from "../base/units.ts";
import type { Config } from "./config.ts";

/** What the household lets in: the rate of everything that comes, and of what comes over the trunk. */
export class Traffic {
	private readonly down: Pacer;
	private readonly trunk: Pacer;

	constructor({ down, origin }: Config["rates"]) {
		this.down = new Pacer(down);
		this.trunk = new Pacer(origin);
	}

	/** Takes effect at once, for what waits too. */
	change({ down, origin }: Config["rates"]): void {
		this.down.rate = down;
		this.trunk.rate = origin;
	}

	/** Waits until so many more bytes may come in, viewers' before fill; undefined when they may at once. */
	take(
		from: "origin" | "neighbour",
		bytes: Bytes,
		urgent: boolean,
		signal: AbortSignal,
	): Promise<void> | undefined {
		const down = () => this.down.take(bytes, urgent, signal);
		if (from === "neighbour") return down();
		return this.trunk.take(bytes, urgent, signal)?.then(down) ?? down();
	}
}
