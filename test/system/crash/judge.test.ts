// The judge of a killed agent is judged: what was placed when, and what of it may be gone.
import t from "tap";
import { shardFileBytes } from "../../../src/content/geometry.ts";
import { makeTitle } from "../../fixture.ts";
import { faultsIn, type Lived } from "./judge.ts";
import { Asked } from "./sources.ts";
import type { Found, Lying } from "./truth.ts";

const { id, manifest } = makeTitle(8 * 8 * 4096);
const film = { id, manifest, source: "", shards: 8 };
const ALL = [0, 1, 2, 3, 4, 5, 6, 7];
const HALF = [0, 1, 2, 3];

/** Shards by number; blocks of one that is begun are given. */
interface Lies {
	readonly whole?: readonly number[];
	readonly begun?: Readonly<Record<number, readonly number[]>>;
	readonly inbox?: readonly number[];
	/** Of these the file is another one than before. */
	readonly anew?: readonly number[];
}

interface Case {
	readonly orders: readonly (readonly number[])[];
	readonly before: Lies;
	readonly after: Lies;
	/** Shards that were asked for whole. */
	readonly asked?: readonly number[];
	/** Shards that there is room for. */
	readonly room?: number;
	/** Shards that there is room for when they are not placed. */
	readonly share?: number;
	readonly faults?: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
	"what was placed all the time stays": {
		...{ orders: [ALL, ALL], before: { whole: ALL } },
		...{ after: { whole: HALF }, faults: ["lost", "lost", "lost", "lost"] },
	},
	"what one placement let go may go, and come back with the next": {
		...{ orders: [ALL, HALF, ALL], before: { whole: ALL } },
		...{ after: { whole: ALL, anew: [4, 5] }, asked: [4, 5] },
	},
	"what it did not let go stays": {
		...{ orders: [ALL, HALF, ALL], before: { whole: ALL } },
		...{ after: { whole: [1, 2] }, faults: ["lost", "lost"] },
	},
	"what never went is not asked for, whatever was placed": {
		...{ orders: [ALL, HALF, ALL], before: { whole: ALL } },
		...{ after: { whole: ALL }, asked: [4], faults: ["asked for again"] },
	},
	"what went and came back within a life was lost": {
		...{ orders: [ALL], before: { whole: ALL } },
		...{ after: { whole: ALL, anew: [4] }, faults: ["lost"] },
	},
	"blocks that had come stay": {
		...{ orders: [ALL], before: { begun: { 0: [1, 2], 1: [], 2: [1] } } },
		...{ after: { begun: { 0: [2], 2: [1, 5] } }, faults: ["lost"] },
	},
	"who brings a shard whole may replace what was begun": {
		...{ orders: [ALL], before: { begun: { 0: [1] }, inbox: [0] } },
		...{ after: { whole: [0], anew: [0] } },
	},
	"and is killed when the one is gone and the other not there": {
		...{ orders: [ALL], before: { begun: { 0: [1] }, inbox: [0] } },
		...{ after: { inbox: [0] } },
	},
	"what is brought is in the inbox or in the store": {
		...{ orders: [ALL], before: { inbox: [0, 1, 2] } },
		...{ after: { whole: [0], inbox: [1] }, faults: ["lost"] },
	},
	"so is what was never placed": {
		...{ orders: [HALF], before: { inbox: [6, 7] } },
		...{ after: { inbox: [7] }, faults: ["brought, and nowhere"] },
	},
	"and what is placed later": {
		...{ orders: [HALF, ALL], before: { inbox: [6, 7] } },
		...{ after: { inbox: [7] }, faults: ["brought, and nowhere"] },
	},
	"what is placed no more when it is taken in may go": {
		...{ orders: [ALL, HALF, ALL], before: { inbox: [6] }, after: {} },
	},
	"what is beyond the share for what is not placed goes": {
		...{ orders: [ALL, HALF], before: { whole: ALL } },
		...{ after: { whole: [...HALF, 6] }, share: 3 },
	},
	"but no more of it": {
		...{ orders: [ALL, HALF], before: { whole: ALL } },
		...{ after: { whole: HALF }, share: 3, faults: ["evicted too much"] },
	},
	"where room is short, shards go that are placed": {
		...{ orders: [ALL], before: { whole: ALL }, room: 6 },
		...{ after: { whole: [0, 1, 2, 3] } },
	},
	"but no more than that takes": {
		...{ orders: [ALL], before: { whole: ALL }, room: 6 },
		...{ after: { whole: [0, 1, 2] }, faults: ["gave up too much"] },
	},
	"and what nobody wants goes first": {
		...{ orders: [[0, 1, 2, 3, 4, 5]], before: { whole: ALL }, room: 8 },
		...{ after: { whole: HALF }, faults: ["gave up too much"] },
	},
};

const key = (shard: number) => `${id}/${shard}`;

function found({ whole = [], begun = {}, inbox = [], anew = [] }: Lies): Found {
	const fileOf = (shard: number) => `${shard}${anew.includes(shard)}`;
	const lying = (shard: number, blocks: readonly number[], isWhole: boolean) =>
		[
			key(shard),
			{
				...{ file: fileOf(shard), isNamed: isWhole },
				...{ good: new Set(blocks), isWhole },
			} satisfies Lying,
		] as const;
	const all = [
		...whole.map((shard) => lying(shard, ALL, true)),
		...Object.entries(begun).map(([shard, blocks]) =>
			lying(Number(shard), blocks, false),
		),
	];
	return { truth: new Map(all), inbox: new Set(inbox.map(key)) };
}

for (const [name, it] of Object.entries(CASES)) {
	t.test(name, async (t) => {
		const asked = new Asked();
		for (const shard of it.asked ?? []) asked.note(id, shard, 0, 8);
		const orders = it.orders.map((shards, rev) => {
			return { epoch: 1, rev, placed: new Set(shards.map(key)) };
		});
		const lived: Lived = {
			...{ films: [film], before: found(it.before), after: found(it.after) },
			...{ orders, asked, flipped: new Set() },
			share: (it.share ?? 0) * shardFileBytes(manifest, 0),
			...(it.room !== undefined && {
				capacity: it.room * shardFileBytes(manifest, 0),
			}),
		};
		const said = faultsIn(lived).map((fault) => fault.split(":")[0]);
		t.same(said, it.faults ?? []);
	});
}

t.test(
	"a file under a final name is the shard, or is said not to be",
	async (t) => {
		const lying = {
			file: "0",
			isNamed: true,
			good: new Set([1]),
			isWhole: false,
		};
		const after = {
			truth: new Map([[key(0), lying]]),
			inbox: new Set<string>(),
		};
		const lived: Lived = {
			...{ films: [film], before: found({}), after, orders: [] },
			...{ asked: new Asked(), flipped: new Set(), share: 0 },
		};
		t.same(faultsIn(lived), [`no shard: ${key(0)}`]);
		t.same(faultsIn({ ...lived, flipped: new Set([key(0)]) }), []);
	},
);
