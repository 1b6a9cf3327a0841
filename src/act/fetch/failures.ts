import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";

/** As long as a busy neighbour rests at most. */
const MEMORY: Millis = 30 * SECOND;
/** More neighbours than a box has at a time. */
const MOST = 256;

/** Why neighbours failed lately, whatever they were asked for: who is busy gives nothing of any shard, and is not even asked. */
export class Failures {
	/** Oldest first. */
	private readonly last = new Map<
		BoxId,
		{ readonly slug: string; readonly at: Millis }
	>();

	/** Who goes after another failure went because of it. */
	note(box: BoxId, slug: string, at: Millis): void {
		if (slug === "gone" && this.of([box], at).length > 0) return;
		this.last.delete(box);
		this.last.set(box, { slug, at });
		for (const oldest of this.last.keys()) {
			if (this.last.size <= MOST) break;
			this.last.delete(oldest);
		}
	}

	/** Of those boxes, each once. */
	of(boxes: Iterable<BoxId>, now: Millis): readonly string[] {
		return [...new Set(boxes)].flatMap((box) => {
			const failure = this.last.get(box);
			const isRecent = failure !== undefined && now - failure.at < MEMORY;
			return isRecent ? [failure.slug] : [];
		});
	}
}
