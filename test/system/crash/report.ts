import { SECOND } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { goneIn, type Lived } from "./judge.ts";
import { type Order, tellOrders } from "./orders.ts";
import type { Kind } from "./points.ts";
import type { Truth } from "./truth.ts";

/** What is known of a point when its box is dead. */
export interface Killed {
	/** Milliseconds since it was started. */
	readonly at: Millis;
	/** Whether a call came at which it was to be killed. */
	readonly isMet: boolean;
	/** What it was doing, as its disk and its log show. */
	readonly met: readonly Kind[];
	readonly truth: Truth;
	readonly orders: readonly Order[];
}

/**
 * What a life was in the middle of when it ended, or had just done.
 * @param isReady whether it was ready
 * @param found how many shards it found damaged
 */
export function metIn(lived: Lived, isReady: boolean, found: number): Kind[] {
	const { before, after, asked, orders } = lived;
	const lacks = [...(orders.at(-1)?.placed ?? [])].some(
		(key) => !after.truth.get(key)?.isNamed,
	);
	const isTaken = [...before.inbox].some(
		(key) => !before.truth.has(key) && after.truth.has(key),
	);
	const met: Record<Kind, boolean> = {
		fill: asked.count > 0 && lacks,
		evict: goneIn(lived).size > 0,
		import: isTaken,
		scrub: found > 0,
		restart: !isReady,
	};
	return (Object.keys(met) as Kind[]).filter((kind) => met[kind]);
}

/** For a person. */
export function tell(killed: Killed, shards: number): string {
	const { at, isMet, met, truth, orders } = killed;
	const said = met.length === 0 ? "nothing" : met.join(", ");
	const changes = orders.length > 1 ? `, placed ${tellOrders(orders)}` : "";
	return `killed${isMet ? "" : " from outside"} at ${Math.round(at)} ms in ${said}, on the disk ${describeTruth(truth, shards)}${changes}`;
}

function describeTruth(truth: Truth, all: number): string {
	const lying = [...truth.values()];
	const whole = lying.filter(({ isWhole, isNamed }) => isWhole && isNamed);
	const begun = lying.length - whole.length;
	const blocks = lying.reduce((sum, each) => sum + each.good.size, 0);
	return `${whole.length} of ${all} shards whole, ${begun} begun, ${blocks} good blocks`;
}

/** What came of all points. For a person. */
export function sumUp(
	killed: readonly Killed[],
	starts: readonly Millis[],
	took: Millis,
): string {
	const count = (kind: Kind) =>
		killed.filter(({ met }) => met.includes(kind)).length;
	const atCalls = killed.filter(({ isMet }) => isMet).length;
	const met = (["fill", "evict", "scrub", "import"] as const).map(
		(kind) => `${kind} ${count(kind)}`,
	);
	const changed = killed.filter(({ orders }) => orders.length > 1).length;
	return [
		`${killed.length} kills in ${Math.round(took / SECOND)} s, ${atCalls} of them at a call`,
		`they met ${met.join(", ")}, a start ${count("restart")}, another placement ${changed}`,
		`${starts.length} starts, the slowest ${Math.round(Math.max(...starts))} ms`,
	].join("; ");
}
