import { createHash } from "node:crypto";
import type { Discovery } from "hyperswarm";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Region } from "../wire/ids.ts";

const FIRST: Millis = SECOND;
const SLOWEST: Millis = MINUTE;
/**
 * With so many neighbours the topic's own refresh (10 to 12 minutes) is enough. Fewer, and boxes that join one after the
 * other would each have the old ones and stop looking before they find each other.
 */
const ENOUGH = 8;

/** One topic a region; it hides nothing, membership does. */
export function regionTopic(secret: Uint8Array, region: Region): Buffer {
	return createHash("sha256")
		.update("larder/topic/1\0")
		.update(secret)
		.update(region)
		.digest();
}

/**
 * Looks the region up again, soon at first and then less often, while neighbours are few. Hyperswarm alone looks once and then
 * every ten minutes: two boxes that start at the same moment miss each other's announcement, and so does a box whose
 * DHT nodes were restarted.
 */
export class Seeking {
	private readonly discovery: Discovery;
	private readonly neighbours: () => number;
	private readonly log: Log;
	private attempt = 0;
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(discovery: Discovery, neighbours: () => number, log: Log) {
		this.discovery = discovery;
		this.neighbours = neighbours;
		this.log = log;
		this.schedule();
	}

	/** A neighbour left: it may be time to look for others. */
	again(): void {
		if (this.neighbours() >= ENOUGH) return;
		this.attempt = 0;
		this.schedule();
	}

	/** Looks at once, whatever is known, and soon again. */
	now(): void {
		this.attempt = 0;
		this.schedule();
		this.refresh();
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	private schedule(): void {
		clearTimeout(this.timer);
		if (this.closed) return;
		const ceiling = Math.min(SLOWEST, FIRST * 2 ** this.attempt++);
		this.timer = setTimeout(
			() => this.look(),
			ceiling * (0.5 + Math.random() / 2),
		);
		this.timer.unref();
	}

	private look(): void {
		this.schedule();
		if (this.neighbours() < ENOUGH) this.refresh();
	}

	private refresh(): void {
		this.discovery.refresh().catch((error: unknown) => {
			this.log.debug({ err: error }, "looking the region up failed");
		});
	}
}
