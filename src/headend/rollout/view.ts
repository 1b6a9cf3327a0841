import type { BoxId } from "../../wire/ids.ts";
import type { RolledBox, RolloutRecord } from "./records.ts";
import { standingOf } from "./waves.ts";

/** Boxes that failed and are named. */
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
	readonly failures: readonly {
		readonly box: BoxId;
		readonly serial: string;
		/** A slug. */
		readonly code: string | null;
	}[];
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
	const failures: RolloutView["failures"][number][] = [];
	for (const member of members) {
		const standing = standingOf(member, rollout.version);
		const { box, serial, code, online } = member;
		const isOver = standing === "done" || standing === "failed";
		counts[isOver || online ? standing : "away"]++;
		if (standing === "failed") failures.push({ box, serial, code });
	}
	return {
		...rollout,
		boxes: boxes.length,
		members: members.length,
		...counts,
		failures: failures.slice(0, NAMED),
	};
}
