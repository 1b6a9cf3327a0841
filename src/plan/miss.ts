import type { Miss } from "../wire/quality.ts";

export interface MissQuestion {
	/** Whether a neighbour has the block, did not just fail to give it and is not on probation. */
	readonly held: boolean;
	/** Why those who have the shard, or are to, failed lately: refusals, `timeout`, `gone`, `wrong-block` and the like. */
	readonly failures: readonly string[];
	/** How many other boxes are to hold the shard, as far as it is known, and how many of those are connected. */
	readonly placed: number;
	readonly connected: number;
}

const LIES = ["wrong-block", "wrong-leaves", "no-leaves", "malformed"];
const BUSY = ["busy", "leaving"];

/** The one cause for which neighbours did not give a block: the gravest that is known. */
export function missOf(question: MissQuestion): Miss {
	const { held, failures, placed, connected } = question;
	const some = (slugs: readonly string[]) =>
		failures.some((slug) => slugs.includes(slug));
	if (some(LIES)) return "verification-failed";
	// Who has its hands full with what this box asked for before is too slow, and not busy with something of its own.
	if (held) return "too-slow";
	if (some(BUSY)) return "holder-busy";
	if (some(["timeout"])) return "too-slow";
	if (some(["disk"])) return "disk";
	if (some(["gone"]) || connected < placed) return "holder-offline";
	return "not-placed";
}
