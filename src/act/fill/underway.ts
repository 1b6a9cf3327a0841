import type { FillStep } from "../../plan/fill.ts";
import type { TitleId } from "../../wire/ids.ts";

interface Running {
	readonly step: FillStep;
	readonly abort: AbortController;
	readonly ended: Promise<void>;
}

/** The fill steps that are being carried out, one for each shard or manifest. */
export class Underway {
	private readonly running = new Map<string, Running>();

	get size(): number {
		return this.running.size;
	}

	get steps(): FillStep[] {
		return [...this.running.values()].map(({ step }) => step);
	}

	has(key: string): boolean {
		return this.running.has(key);
	}

	/** Resolves when it has ended. @param work never rejects */
	begin(
		step: FillStep,
		work: (signal: AbortSignal) => Promise<void>,
	): Promise<void> {
		const key = keyOf(step.title, "shard" in step ? step.shard : undefined);
		const abort = new AbortController();
		const ended = work(abort.signal).then(() => {
			this.running.delete(key);
		});
		this.running.set(key, { step, abort, ended });
		return ended;
	}

	/** Stops those for which `which` holds; what they have brought stays. */
	stop(why: string, which: (key: string, step: FillStep) => boolean): void {
		for (const [key, { step, abort }] of this.running)
			if (which(key, step)) abort.abort(new DOMException(why, "AbortError"));
	}

	/** Stops all, and waits until they have ended. */
	async close(): Promise<void> {
		this.stop("closing", () => true);
		await Promise.all([...this.running.values()].map(({ ended }) => ended));
	}
}

/** Of a shard, or of a title's manifest. */
export function keyOf(id: TitleId, shard: number | undefined): string {
	return shard === undefined ? id : `${id}/${shard}`;
}
