import type { BoxId } from "../../wire/ids.ts";
import type { RolledBox, RolloutRecord } from "./records.ts";
import { standingOf } from "./waves.ts";

/** Boxes that failed for one reason and are named. */
const NAMED = 20;

/** How far a release has come. */
export interface RolloutView extends Omit<RolloutRecord, "seed"> {
	/** Boxes that it is for, and those of them that are in this wave or one before. */
	readonly boxes: number;
	readonly members: number;
	/** Of the members: those that have it, went back from it or refused it, try it, and fetch it. */
	readonly done: number;
	readonly failed: number;
	readonly trial: number;
	readonly fetching: number;
	/** Members that are there and have not begun, and members that are away and do not have it. */
	readonly waiting: number;
	readonly away: number;
	/** By reason, the most frequent first. */
	readonly failures: readonly Failure[];
}

/** Boxes that failed for one reason. */
export interface Failure {
	/** A slug, and words when there are any. */
	readonly code: string | null;
	readonly detail: string | null;
	readonly boxes: number;
	/** Of some of them. */
	readonly serials: readonly string[];
}

export function viewOf(
	{ seed: _, ...rollout }: RolloutRecord,
	boxes: readonly RolledBox[],
	drawOf: (box: BoxId) => number,
): RolloutView {
	const share = rollout.waves[rollout.wave] ?? 0;
	const members = boxes.filter(({ box }) => drawOf(box) < share);
	const counts = {
		done: 0,
		failed: 0,
		trial: 0,
		fetching: 0,
		waiting: 0,
		away: 0,
	};
	const failed: RolledBox[] = [];
	for (const member of members) {
		const standing = standingOf(member, rollout.version);
		const isOver = standing === "done" || standing === "failed";
		counts[isOver || member.online ? standing : "away"]++;
		if (standing === "failed") failed.push(member);
	}
	return {
		...rollout,
		boxes: boxes.length,
		members: members.length,
		...counts,
		failures: byReason(failed),
	};
}

function byReason(failed: readonly RolledBox[]): Failure[] {
	const reasons = Map.groupBy(failed, ({ code, detail }) =>
		JSON.stringify([code, detail]),
	);
	const failures = [...reasons.values()].map((boxes) => ({
		code: boxes[0]?.code ?? null,
		detail: boxes[0]?.detail ?? null,
		boxes: boxes.length,
		serials: boxes.slice(0, NAMED).map(({ serial }) => serial),
	}));
	return failures.toSorted((a, b) => b.boxes - a.boxes);
}
