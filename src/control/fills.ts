import { MINUTE, monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
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
/** Share of the capacity, or of what is placed, by which a level has to move to be worth a message. */
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

/**
 * A shard more or less of a filling box is not: a region that fills would send as many messages as it has boxes, each second.
 * What was placed, and whether all of it is there, is told at once; levels when they have moved.
 */
export function isWorthTelling(before: Levels, after: Levels): boolean {
	return (
		before.capacity !== after.capacity ||
		before.placedBytes !== after.placedBytes ||
		isWhole(before) !== isWhole(after) ||
		before.missingBytes !== after.missingBytes ||
		before.disk?.state !== after.disk?.state ||
		hasMoved(before.usedSpace, after.usedSpace, after.capacity) ||
		hasMoved(before.heldBytes, after.heldBytes, after.placedBytes) ||
		haveTitlesTurned(before.titles, after.titles)
	);
}

function isWhole({ heldBytes, placedBytes }: Levels): boolean {
	return heldBytes === placedBytes;
}

function hasMoved(before: Bytes, after: Bytes, whole: Bytes): boolean {
	const by = Math.abs(after - before);
	return by > 0 && by >= whole * THRESHOLD;
}

/** Whether a title came or went, other shards of it are placed, or it became whole or is whole no longer. */
function haveTitlesTurned(
	before: Levels["titles"],
	after: Levels["titles"],
): boolean {
	if (before.length !== after.length) return true;
	const known = new Map(before.map((title) => [title.id, title]));
	return after.some(({ id, placed, held }) => {
		const was = known.get(id);
		return (
			was?.placed !== placed || (was.held === was.placed) !== (held === placed)
		);
	});
}
