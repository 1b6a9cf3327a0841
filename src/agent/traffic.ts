import type { Purpose } from "../act/fetch/ask.ts";
import { Pacer } from "../act/pacer.ts";
import type { Bytes, Rate } from "../base/units.ts";
import type { FillLeave } from "../plan/hours.ts";
import type { Config } from "./config.ts";

type Rates = Pick<Config["rates"], "up" | "down" | "origin">;

/** What the household lets in: the rate of everything that comes, of what comes over the trunk, and of what fill alone brings. */
export class Traffic {
	private readonly down: Pacer;
	private readonly trunk: Pacer;
	private own: Rate;
	/** What the hour leaves for neighbours. */
	private hour: Rate = 0;
	private readonly fill = { origin: new Pacer(0), neighbour: new Pacer(0) };

	constructor({ up, down, origin }: Rates) {
		this.own = up;
		this.down = new Pacer(down);
		this.trunk = new Pacer(origin);
	}

	/** What neighbours may be given in all: the lower of two limits. */
	get up(): Rate {
		const limits = [this.own, this.hour].filter((rate) => rate > 0);
		return limits.length === 0 ? 0 : Math.min(...limits);
	}

	/** Takes effect at once, for what waits too. */
	change({ up, down, origin }: Rates): void {
		this.own = up;
		this.down.rate = down;
		this.trunk.rate = origin;
	}

	/** What fill may bring from now on. Where that is nothing it is not begun, and what waits goes with its request. */
	allow({ trunk, neighbours, up }: FillLeave): void {
		this.hour = up;
		this.fill.origin.rate = trunk ?? 0;
		this.fill.neighbour.rate = neighbours ?? 0;
	}

	/** Waits until so many more bytes may come in, viewers' before fill; undefined when they may at once. */
	take(
		from: "origin" | "neighbour",
		bytes: Bytes,
		purpose: Purpose,
		signal: AbortSignal,
	): Promise<void> | undefined {
		const urgent = purpose === "viewer";
		const pacers = [
			...(purpose === "fill" ? [this.fill[from]] : []),
			...(from === "origin" ? [this.trunk] : []),
			this.down,
		];
		let waited: Promise<void> | undefined;
		for (const pacer of pacers) {
			const wait = () => pacer.take(bytes, urgent, { signal });
			waited = waited === undefined ? wait() : waited.then(wait);
		}
		return waited;
	}
}
