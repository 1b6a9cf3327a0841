import type { Bytes, Millis, Rate } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";

/** A neighbour that holds what is wanted and has not just failed to give it. */
export interface SourceCandidate {
	readonly box: BoxId;
	readonly inFlight: Bytes;
	readonly window: Bytes;
	/** 0 when unproven. */
	readonly throughput: Rate;
	readonly roundTrip: Millis;
}

export interface SourceQuestion {
	readonly bytes: Bytes;
	readonly candidates: readonly SourceCandidate[];
	/** How long the block has been wanted without coming nearer. */
	readonly waited: Millis;
	/** From this wait on the origin may be asked; Infinity for never. */
	readonly originAfter: Millis;
}

export type SourceChoice =
	| { readonly from: "neighbour"; readonly box: BoxId }
	| { readonly from: "origin" }
	/** Nobody yet; ask again after so long, or at news. */
	| { readonly from: "nobody"; readonly wait: Millis };

/** What an unproven neighbour is taken for: a 5 Mbit/s uplink. */
const UNPROVEN: Rate = 625_000;

/**
 * Where the next block comes from: the neighbour that is likely to have sent it first, as long as it has room in its window;
 * the origin when nobody has, after the wait that its use is put off for.
 * Likely time = round trip + (bytes in flight + bytes asked) / throughput.
 */
export function chooseSource(question: SourceQuestion): SourceChoice {
	const { bytes, candidates, waited, originAfter } = question;
	let best: SourceCandidate | undefined;
	let bestTime = Number.POSITIVE_INFINITY;
	for (const candidate of candidates) {
		const { inFlight, window, throughput, roundTrip } = candidate;
		if (inFlight > 0 && inFlight + bytes > window) continue;
		const rate = throughput === 0 ? UNPROVEN : throughput;
		const time = roundTrip / 1000 + (inFlight + bytes) / rate;
		if (time < bestTime) {
			best = candidate;
			bestTime = time;
		}
	}
	if (best !== undefined) return { from: "neighbour", box: best.box };
	if (waited >= originAfter) return { from: "origin" };
	return { from: "nobody", wait: originAfter - waited };
}

/**
 * How long each rank of a placed shard leaves it to those before: rank 0 asks the origin at once, rank r after r times `takeover`
 * without progress. One after the other, so a dead rank 0 causes no stampede.
 */
export function originPatience(rank: number, takeover: Millis): Millis {
	return rank * takeover;
}

/** A viewer waits so long for holders to be found and dialled before the origin is asked. */
export const DIAL_PATIENCE: Millis = 400;
/** ... and so long for neighbours that hold the block but are slow, before it stalls the player. */
export const HOLDER_PATIENCE: Millis = 1_500;
