import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { SECOND } from "../../base/time.ts";
import type { Millis, Rate } from "../../base/units.ts";
import { originShare } from "../../plan/trunk.ts";

/** Boxes report all the time: what each may take is looked at this long after, for all of them at once. */
const LOOK: Millis = 5 * SECOND;
/** Boxes that were just told what to hold count as filling for so long: by then they have said how they stand. */
const TOLD: Millis = 60 * SECOND;

export interface AllotmentOptions {
	/** What a region's boxes may take from the origin in all to fill themselves; 0 for no limit. */
	readonly budget: Rate;
	/** How many boxes have something to fetch, as they say. */
	readonly filling: () => Promise<number>;
	/** Each may take another rate from now on. */
	readonly onChange: () => Promise<void>;
	readonly log: Log;
	readonly look?: Millis;
}

/** Shares the region's origin budget among boxes that talk to nobody about it: the head tells each its part. */
export class Allotment {
	private readonly options: AllotmentOptions;
	private share: Rate;
	private told = 0;
	private timer: NodeJS.Timeout | undefined;
	private forgetting: NodeJS.Timeout | undefined;
	private looking: Promise<void> = Promise.resolve();
	private closed = false;

	constructor(options: AllotmentOptions) {
		this.options = options;
		this.share = originShare(options.budget, 1);
	}

	/** Bytes a second for each box; undefined when there is no limit. */
	get rate(): Rate | undefined {
		return this.share === 0 ? undefined : this.share;
	}

	/** Boxes have reported. */
	heard(): void {
		if (this.closed || this.options.budget === 0) return;
		const { look = LOOK } = this.options;
		this.timer ??= setTimeout(() => void this.look(), look).unref();
	}

	/** So many boxes are about to be told what to hold: each has its part before it begins. */
	async planned(boxes: number): Promise<void> {
		if (this.closed || this.options.budget === 0) return;
		this.told = Math.max(this.told, boxes);
		clearTimeout(this.forgetting);
		this.forgetting = setTimeout(() => {
			this.told = 0;
			this.heard();
		}, TOLD).unref();
		await this.look();
	}

	async close(): Promise<void> {
		this.closed = true;
		clearTimeout(this.timer);
		clearTimeout(this.forgetting);
		await this.looking;
	}

	/** Never rejects. */
	private look(): Promise<void> {
		clearTimeout(this.timer);
		this.timer = undefined;
		this.looking = this.looking.then(() => this.reckon());
		return this.looking;
	}

	private async reckon(): Promise<void> {
		const { budget, filling, onChange, log } = this.options;
		try {
			const boxes = Math.max(this.told, await filling());
			const share = originShare(budget, boxes);
			if (share === this.share || this.closed) return;
			this.share = share;
			log.info({ boxes, bytesPerSecond: share }, "the origin budget is shared");
			await onChange();
		} catch (error) {
			log.error({}, `the origin budget was not shared: ${describe(error)}`);
		}
	}
}
