import type { Millis } from "../../../src/base/units.ts";
import { seeded } from "../../fixture.ts";
import { CALLS, type Trap } from "./trap.ts";

/** What a box is doing when it is killed. `restart` is the start after another kill. */
export const KINDS = ["evict", "import", "fill", "scrub", "restart"] as const;
export type Kind = (typeof KINDS)[number];

/** When: so long after it first changed something among its shards, or was started again; or at one call of its own. */
export type When = { readonly after: Millis } | { readonly trap: Trap };

export interface Point {
	readonly kind: Kind;
	readonly when: When;
	/** Numbers from 0 to 1 for what else is left to chance. */
	readonly draw: () => number;
}

/** For so long each is under way, or just over. */
const SPAN: Readonly<Record<Kind, Millis>> = {
	evict: 50,
	import: 600,
	fill: 2000,
	scrub: 1500,
	restart: 1200,
};

/** The calls that each lives on, and how many of them there are to choose from. */
const LIVES_ON: Readonly<Record<Kind, Partial<Record<Trap["call"], number>>>> =
	{
		evict: { unlink: 20 },
		import: { rename: 6, sync: 12, unlink: 6, open: 3, write: 40 },
		fill: { open: 12, write: 150, sync: 16, rename: 8 },
		scrub: { rename: 3, write: 2, sync: 4 },
		restart: { rename: 1, unlink: 2, open: 2, sync: 2, write: 5 },
	};

/** A part of all points is on the records that an agent keeps of itself. */
const RECORDS = 0.12;
const AT_CALLS = 0.6;
const AGAIN = 0.3;

/** The same numbers from 0 to 1 for the same seed. */
export function drawing(seed: string): () => number {
	let at = 0;
	return () => seeded(`${seed}/${at++}`, 6).readUIntBE(0, 6) / 2 ** 48;
}

/** So many points: the four kinds in turn, each of which some starts follow that are cut short, too. */
export function choosePoints(seed: number, count: number): Point[] {
	const draw = drawing(`crash ${seed}`);
	const points: Point[] = [];
	for (let turn = 0; points.length < count; turn++) {
		const kind = KINDS[turn % 4] ?? "fill";
		points.push(choose(kind, draw, `${seed} ${points.length}`));
		while (points.length < count && draw() < AGAIN)
			points.push(choose("restart", draw, `${seed} ${points.length}`));
	}
	return points;
}

/** The last of these points, and what it follows: a start that is cut short comes after another kill. */
export function lastOf(points: readonly Point[]): Point[] {
	const from = points.findLastIndex(({ kind }) => kind !== "restart");
	return points.slice(from);
}

function choose(kind: Kind, draw: () => number, seed: string): Point {
	const own = drawing(`point ${seed}`);
	if (draw() >= AT_CALLS)
		return { kind, when: { after: draw() * SPAN[kind] }, draw: own };
	const calls = CALLS.filter((call) => LIVES_ON[kind][call] !== undefined);
	const call = calls[Math.floor(draw() * calls.length)] ?? "write";
	const nth = 1 + Math.floor(draw() * (LIVES_ON[kind][call] ?? 1));
	const under = draw() < RECORDS ? "/control/" : placeOf(kind, call);
	const ways = call === "write" ? 3 : 2;
	const when = (["before", "after", "half"] as const)[
		Math.floor(draw() * ways)
	];
	const isRecord = under === "/control/";
	const trap: Trap = {
		call: isRecord && call === "unlink" ? "rename" : call,
		nth: isRecord ? 1 + (nth % 3) : nth,
		...{ when: when ?? "before", under },
	};
	return { kind, when: { trap }, draw: own };
}

/** What is taken in is unlinked in the inbox, and the rest happens among the shards. */
function placeOf(kind: Kind, call: Trap["call"]): string {
	return kind === "import" && call === "unlink" ? "/inbox/" : "/shards/";
}

/** For a person. */
export function describePoint({ kind, when }: Point): string {
	if ("after" in when) return `${kind} after ${Math.round(when.after)} ms`;
	const { call, nth, when: how, under } = when.trap;
	return `${kind} ${how === "half" ? "half of" : how} ${call} ${nth} in ${under}`;
}
