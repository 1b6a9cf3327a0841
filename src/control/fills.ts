import { MINUTE, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Fill } from "../wire/reports.ts";

/** Fill levels as the agent measures them. */
export type Levels = Omit<Fill, "session" | "at">;

export interface FillTiming {
	/** Without a change the levels are sent this often, give or take a tenth: boxes that start together drift apart. */
	readonly heartbeat: Millis;
	/** Changes are sent no more often than this. */
	readonly minInterval: Millis;
}

const TIMING: FillTiming = { heartbeat: 15 * MINUTE, minInterval: SECOND };
/** Share of the capacity by which a level has to move to be worth a message. */
const THRESHOLD = 0.01;

/** Decides when fill levels are sent: on a change worth telling, and as a heartbeat. */
export class Fills {
	private readonly send: (levels: Levels) => void;
	private readonly timing: FillTiming;
	private latest: Levels | undefined;
	private sent: { readonly levels: Levels; readonly at: Millis } | undefined;
	private timer: NodeJS.Timeout | undefined;
	private readonly spread = 0.9 + 0.2 * Math.random();

	constructor(
		send: (levels: Levels) => void,
		timing: Partial<FillTiming> | undefined,
	) {
		this.send = send;
		this.timing = { ...TIMING, ...timing };
	}

	/** The levels as they are now; sent when it is time. */
	set(levels: Levels): void {
		this.latest = levels;
		this.schedule();
	}

	/** Sends the latest levels, due or not. */
	flush(): void {
		clearTimeout(this.timer);
		if (this.latest === undefined) return;
		this.sent = { levels: this.latest, at: monotonic() };
		this.send(this.latest);
		this.schedule();
	}

	close(): void {
		clearTimeout(this.timer);
		this.latest = undefined;
	}

	private schedule(): void {
		clearTimeout(this.timer);
		if (this.latest === undefined) return;
		const { heartbeat, minInterval } = this.timing;
		const wait =
			this.sent === undefined
				? 0
				: isWorthTelling(this.sent.levels, this.latest)
					? minInterval
					: heartbeat * this.spread;
		const due = (this.sent?.at ?? 0) + wait;
		const pause = Math.max(0, due - monotonic());
		this.timer = setTimeout(() => this.flush(), pause).unref();
	}
}

/** Any title's holding changed, or a level moved by more than a hundredth of the capacity. */
export function isWorthTelling(before: Levels, after: Levels): boolean {
	if (before.capacity !== after.capacity) return true;
	const least = after.capacity * THRESHOLD;
	for (const level of ["usedSpace", "placedBytes", "heldBytes"] as const)
		if (Math.abs(after[level] - before[level]) > least) return true;
	if (before.titles.length !== after.titles.length) return true;
	const held = new Map(before.titles.map((title) => [title.id, title.held]));
	return after.titles.some((title) => held.get(title.id) !== title.held);
}
