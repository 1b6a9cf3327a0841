import { randomBytes } from "node:crypto";
import { MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { coalesce } from "../plan/coalesce.ts";
import type { Watched } from "../wire/quality.ts";
import type { MqttSession } from "./client.ts";
import type { Outbox } from "./outbox.ts";

/** Told at a moment drawn from so long: when it comes says little of when it was. */
const SPREAD: Millis = 2 * MINUTE;

export interface QualityTiming {
	/** What was watched is told within so long. */
	readonly spread: Millis;
}

/** Gathers what was watched on this box, and tells it now and then, each entry under an id of its own. */
export class Qualities {
	private readonly session: Pick<MqttSession, "connected">;
	private readonly outbox: Pick<Outbox, "quality">;
	private readonly spread: Millis;
	private waiting: readonly Watched[] = [];
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(
		session: Pick<MqttSession, "connected">,
		outbox: Pick<Outbox, "quality">,
		{ spread = SPREAD }: Partial<QualityTiming> = {},
	) {
		this.session = session;
		this.outbox = outbox;
		this.spread = spread;
	}

	add(watched: Omit<Watched, "id">): void {
		const id = randomBytes(8).toString("hex");
		this.waiting = coalesce(this.waiting, { id, ...watched });
		this.later();
	}

	/** What is not told by now stays untold: nobody is to know that the box which leaves had watched it. */
	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	private later(): void {
		if (this.closed || this.timer !== undefined) return;
		const pause = this.spread * Math.random();
		this.timer = setTimeout(() => this.tell(), pause).unref();
	}

	private tell(): void {
		this.timer = undefined;
		if (this.session.connected) {
			this.outbox.quality({ watched: [...this.waiting] });
			this.waiting = [];
		} else this.later();
	}
}
