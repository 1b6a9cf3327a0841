import type { Bytes } from "../../../src/base/units.ts";
import { shardFileBytes } from "../../../src/content/geometry.ts";
import type { Film } from "../desk.ts";
import { lyingIn, shardsOf } from "./checks.ts";
import type { Order } from "./orders.ts";
import type { Asked } from "./sources.ts";
import type { Found, Lying } from "./truth.ts";

/** One life of the box, from a start to a kill. */
export interface Lived {
	readonly films: readonly Film[];
	readonly before: Found;
	readonly after: Found;
	/** Every placement that was in force for a while, in order. */
	readonly orders: readonly Order[];
	readonly asked: Asked;
	/** What the store might take, when that was less than there was to take. */
	readonly capacity?: Bytes;
	/** What it may take of that for what is not placed. */
	readonly share: Bytes;
	/** Shards of which a block was changed on the disk, and that have not been whole since. */
	readonly flipped: ReadonlySet<string>;
}

/** Whole shards are given back, and manifests take room, too. */
const SLACK = 2;

/**
 * What is wrong with a life. What every placement in force had the box hold may go only where room is short, and no more of it than
 * that takes. What came with one and went with the next may go as far as it is beyond the share for such, and be asked for again with
 * a third. What never went is never asked for again, whatever was placed.
 */
export function faultsIn(lived: Lived): string[] {
	const { before, after, orders, capacity, flipped } = lived;
	const gone = goneIn(lived);
	const stays = (key: string) => orders.every(({ placed }) => placed.has(key));
	const held = [...gone].filter(stays);
	const isBrought = (key: string) =>
		before.inbox.has(key) && !before.truth.has(key);
	const brought = [...gone].filter(
		(key) => isBrought(key) && !stays(key) && !isDropped(orders, key),
	);
	const mayReturn = (key: string) =>
		gone.has(key) &&
		(!stays(key) || (capacity !== undefined && orders.length > 1));
	const isEvicted = gone.size > held.length && capacity === undefined;
	return [
		...(capacity === undefined
			? held.map((key) => `lost: ${key}`)
			: givenUp(lived, held, capacity)),
		...(isEvicted ? evicted(lived, stays) : []),
		...brought.map((key) => `brought, and nowhere: ${key}`),
		...askedTwice(lived).flatMap(([key, blocks]) =>
			mayReturn(key) ? [] : [`asked for again: ${key}, blocks ${blocks}`],
		),
		...lyingIn(after.truth, flipped).map((key) => `no shard: ${key}`),
	];
}

/** Shards, whole, begun or brought, of which something that was there before is not there any more. */
export function goneIn({ before, after }: Lived): Set<string> {
	const isKept = (key: string, was: Lying) => {
		const is = after.truth.get(key);
		const isWhole = is?.isWhole && is.isNamed;
		if (was.isWhole && was.isNamed) return isWhole && is.file === was.file;
		// Who brings it whole may replace what was begun.
		if (isWhole || after.inbox.has(key)) return true;
		return [...was.good].every(
			(block) => is?.file === was.file && is.good.has(block),
		);
	};
	const gone = [...before.truth].filter(([key, was]) => !isKept(key, was));
	const isTaken = (key: string) => {
		const { isWhole = false, isNamed = false } = after.truth.get(key) ?? {};
		return isWhole && isNamed;
	};
	const brought = [...before.inbox].filter(
		(key) => !after.inbox.has(key) && !isTaken(key),
	);
	return new Set([...gone.map(([key]) => key), ...brought]);
}

/** Whether a placement had it and a later one did not. */
function isDropped(orders: readonly Order[], key: string): boolean {
	return orders.some(
		({ placed }, at) =>
			!placed.has(key) && orders.slice(0, at).some((o) => o.placed.has(key)),
	);
}

/** Blocks that were asked for although they lay on the disk at the start. */
function askedTwice({ before, asked }: Lived): [string, readonly number[]][] {
	return [...before.truth].flatMap(([key, { good }]) => {
		const again = [...asked.of(key)].filter((block) => good.has(block));
		return again.length === 0 ? [] : [[key, again]];
	});
}

/**
 * What is wrong with giving up shards that are to be held: it is the last resort, and ends once what is left has room. What no
 * placement wants goes first.
 * @param held those shards
 */
function givenUp(
	{ films, before, after, orders, asked }: Lived,
	held: readonly string[],
	capacity: Bytes,
): string[] {
	if (held.length === 0) return [];
	const given = new Set(held);
	let left = 0;
	let least = capacity;
	for (const { film, shard, key } of shardsOf(films)) {
		const bytes = shardFileBytes(film.manifest, shard);
		if (film === films[0] && shard === 0) least -= SLACK * bytes;
		const isThere = after.truth.has(key);
		const was = before.truth.has(key) || asked.of(key).size > 0;
		const isWanted = orders.some(({ placed }) => placed.has(key));
		if (isThere || (was && isWanted && !given.has(key))) left += bytes;
	}
	return left >= least ? [] : [`gave up too much: ${left} left of ${least}`];
}

/** What is wrong with evicting what is not placed, or was not for a while: it ends once what is left is within the share. */
function evicted(
	{ films, after, share }: Lived,
	stays: (key: string) => boolean,
): string[] {
	let left = 0;
	let least = share;
	for (const { film, shard, key } of shardsOf(films)) {
		const bytes = shardFileBytes(film.manifest, shard);
		if (film === films[0] && shard === 0) least -= SLACK * bytes;
		if (after.truth.has(key) && !stays(key)) left += bytes;
	}
	return left >= least ? [] : [`evicted too much: ${left} left of ${least}`];
}
