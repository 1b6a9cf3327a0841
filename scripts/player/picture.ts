import { monotonic } from "../../src/base/time.ts";
import type { Millis } from "../../src/base/units.ts";

/** How often it is looked whether the picture still moves. */
const LOOK: Millis = 10;

/** The film stood still, at a place of what was to be shown, for so long. */
export interface Still {
	readonly at: Millis;
	readonly span: Millis;
}

/** How far the picture has come: it stands still while what comes next is not there whole. */
export class Picture {
	/** Those that are over. */
	private readonly over: Still[] = [];
	private stillSince: Millis | undefined;
	private readonly started = monotonic();
	/** How much of the film is there, from where it started. */
	private there: Millis;
	private readonly timer = setInterval(() => this.look(), LOOK);

	constructor(there: Millis) {
		this.there = there;
	}

	get stills(): readonly Still[] {
		const { stillSince, there } = this;
		if (stillSince === undefined) return this.over;
		return [...this.over, { at: there, span: monotonic() - stillSince }];
	}

	get stalled(): Millis {
		return this.stills.reduce((sum, { span }) => sum + span, 0);
	}

	get shown(): Millis {
		return monotonic() - this.started - this.stalled;
	}

	get ahead(): Millis {
		return this.there - this.shown;
	}

	/** Nothing more is to come: where it ends it does not stand still. */
	finish(): void {
		clearInterval(this.timer);
	}

	add(more: Millis): void {
		this.over.splice(0, Infinity, ...this.stills);
		this.stillSince = undefined;
		this.there += more;
	}

	private look(): void {
		if (this.stillSince !== undefined || this.ahead > 0) return;
		this.stillSince = monotonic();
	}
}
