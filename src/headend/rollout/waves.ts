import { createHmac } from "node:crypto";
import { MINUTE } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";
import { compareVersions } from "../../wire/release.ts";
import type { Update } from "../../wire/reports.ts";

/** A release on its way to the boxes, a larger share of them with each wave. */
export interface Rollout {
	readonly version: string;
	/** With a box's id it says in which wave the box is. */
	readonly seed: string;
	/** Shares of the boxes (0..1), rising. */
	readonly waves: readonly number[];
	/** It pauses when more than this share of those that answered have failed. */
	readonly abortAt: number;
	/** How long a wave is watched after its last box that is there has answered. */
	readonly soak: Millis;
	/** `done`: the last wave was watched for long enough; boxes that come back are still told. */
	readonly state: "running" | "paused" | "aborted" | "done";
	/** Why it paused. */
	readonly why: string | null;
	/** Index into `waves`. */
	readonly wave: number;
	/** Since when nobody who is there is awaited any more in this wave. */
	readonly settledAt: Millis | null;
	/** What failed before that was forgiven by whoever had it go on. */
	readonly countedFrom: Millis;
}

/** What is known of a box. */
export interface Rolled {
	readonly box: BoxId;
	readonly online: boolean;
	/** By the headend's clock: since when it is there, or away. */
	readonly turnedAt: Millis;
	readonly version: string;
	readonly target: string;
	readonly update: Update | null;
	/** When it was told of this release. */
	readonly toldAt: Millis | null;
	readonly outcome: "done" | "failed" | null;
	readonly endedAt: Millis | null;
}

export interface Outcome {
	readonly box: BoxId;
	readonly outcome: "done" | "failed";
	/** Why it failed: a slug. */
	readonly code: string | null;
	/** In words, when there are any. */
	readonly detail?: string | undefined;
}

/** What follows for a rollout. */
export interface Step {
	readonly rollout: Rollout;
	/** Boxes that have answered since the last step. */
	readonly ended: readonly Outcome[];
	/** Boxes that are to be told now. */
	readonly tell: readonly BoxId[];
}

/** A box that has not begun by then is told again. */
const AGAIN: Millis = 5 * MINUTE;
/** A box that was told and goes away for no longer is about to come back as another. */
const BETWEEN: Millis = 5 * MINUTE;

/** Where a box stands among all boxes (0..1): the same for one seed, evenly spread, and another for another seed. */
export function drawOf(seed: string, box: BoxId): number {
	const digest = createHmac("sha256", seed).update(box).digest();
	return digest.readUIntBE(0, 6) / 2 ** 48;
}

export type Standing = "done" | "failed" | "trial" | "fetching" | "waiting";

/** How a box stands with a version. */
export function standingOf(box: Rolled, version: string): Standing {
	const { update } = box;
	const isOfIt = update?.version === version;
	if (isOfIt && update.phase === "trial") return "trial";
	if (compareVersions(box.version, version) >= 0) return "done";
	if (box.outcome === "failed") return "failed";
	if (isOfIt && box.toldAt !== null) return update.phase;
	return "waiting";
}

/**
 * The next step of a rollout.
 * @param members the boxes that are in its wave and those before
 */
export function step(
	before: Rollout,
	members: readonly Rolled[],
	now: Millis,
): Step {
	if (before.state === "aborted")
		return { rollout: before, ended: [], tell: [] };
	const { version, countedFrom } = before;
	const ended: Outcome[] = [];
	const tell: BoxId[] = [];
	let awaited = 0;
	const counts = { done: 0, failed: 0 };
	for (const member of members) {
		const { box, online, toldAt, outcome, endedAt } = member;
		const standing = standingOf(member, version);
		const isOver = standing === "done" || standing === "failed";
		if (isOver && toldAt !== null) {
			const code = member.update?.code ?? null;
			if (outcome === null)
				ended.push({
					box,
					outcome: standing,
					code: standing === "done" ? null : code,
				});
			if (outcome === null || (endedAt ?? 0) >= countedFrom) counts[standing]++;
		}
		if (isOver) continue;
		const isBetween = toldAt !== null && now - member.turnedAt < BETWEEN;
		if (online || isBetween) awaited++;
		if (!online) continue;
		if (standing === "waiting" && now - (toldAt ?? -AGAIN) >= AGAIN)
			tell.push(box);
	}
	const rollout = advance(before, counts, members.length, awaited, now);
	const isOn = rollout.state === "running" || rollout.state === "done";
	return { rollout, ended, tell: isOn ? tell : [] };
}

function advance(
	before: Rollout,
	{ done, failed }: { readonly done: number; readonly failed: number },
	members: number,
	awaited: number,
	now: Millis,
): Rollout {
	if (before.state === "paused") return before;
	if (failed > before.abortAt * (failed + done)) {
		const why = `${failed} of ${failed + done} that answered failed`;
		return { ...before, state: "paused", why };
	}
	if (before.state === "done") return before;
	// Who comes back later is told, too, and holds up nobody.
	const settledAt = before.settledAt ?? (awaited === 0 ? now : null);
	const isOver =
		settledAt !== null && (members === 0 || now - settledAt >= before.soak);
	if (!isOver) return { ...before, settledAt };
	if (before.wave + 1 >= before.waves.length)
		return { ...before, settledAt, state: "done" };
	return { ...before, wave: before.wave + 1, settledAt: null };
}
