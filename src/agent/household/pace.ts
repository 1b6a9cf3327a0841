import type { Bytes, Millis, Rate } from "../../base/units.ts";

/** How fast a counter has gone up over the last `span`. Invariant: the oldest sample is the last one before that, if there is one. */
export class Pace {
	private readonly span: Millis;
	private samples: { readonly at: Millis; readonly total: Bytes }[] = [];

	constructor(span: Millis) {
		this.span = span;
	}

	/** Bytes a second. @param total what the counter says now */
	note(total: Bytes, at: Millis): Rate {
		this.samples.push({ at, total });
		const first = this.samples.findLastIndex(
			(each) => each.at <= at - this.span,
		);
		if (first > 0) this.samples.splice(0, first);
		const [oldest] = this.samples;
		if (oldest === undefined || oldest.at >= at) return 0;
		const over = Math.max(this.span, at - oldest.at);
		return ((total - oldest.total) / over) * 1000;
	}
}
