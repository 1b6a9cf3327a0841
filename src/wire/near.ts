import { createHash } from "node:crypto";
import * as z from "zod/mini";
import type { Bytes } from "../base/units.ts";
import type { BoxId } from "./ids.ts";

/** Levels of the access tree by which boxes are told apart: a street's cabinet, its node, a district, a city. */
export const LEVELS = 4;
/** A later version may tell of more levels; they are passed over. */
const ROOM = 16;

/** How far another box is: the first level at which both are in one group, 0 is nearest; FAR when there is none that is known. */
export type Level = number;
export const FAR: Level = LEVELS;

/** Bytes by level, as labels of figures: "0" is nearest, "far" is what is left of all. */
export function labelled(
	near: readonly Bytes[],
	all: Bytes,
): (readonly [level: string, bytes: Bytes])[] {
	const known = Array.from({ length: LEVELS }, (_, level) => near[level] ?? 0);
	const left = known.reduce((rest, bytes) => rest - bytes, all);
	return [
		...known.map((bytes, level) => [String(level), bytes] as const),
		["far", Math.max(0, left)] as const,
	];
}

/** A group's id, drawn at random by the headend: only who is in the group, and who speaks for the operator, knows it. */
const groupId = z.string().check(z.regex(/^[0-9a-f]{32}$/));
/** The groups of one box, nearest level first. */
export const groups = z.array(groupId).check(z.maxLength(ROOM));
export type Groups = readonly z.output<typeof groupId>[];

/** What one box shows of its groups to one other, nearest level first. */
export const tags = z
	.array(z.string().check(z.regex(/^[0-9a-f]{16}$/)))
	.check(z.maxLength(ROOM));
export type Tags = readonly string[];

/**
 * What a box shows to another: a tag of each of its groups, which only these two boxes use. Who is in the group can tell that the
 * other one is; all others learn nothing, not even of two boxes whether they are in the same.
 */
export function tagsOf(groups: Groups, from: BoxId, to: BoxId): Tags {
	return groups.slice(0, LEVELS).map((group) => tagOf(group, from, to));
}

/** How far the box is that showed these tags to a box in these groups. */
export function levelOf(
	tags: Tags,
	groups: Groups,
	from: BoxId,
	to: BoxId,
): Level {
	const shared = tagsOf(groups, from, to).findIndex(
		(tag, level) => tag === tags[level],
	);
	return shared < 0 ? FAR : shared;
}

/** The order of the boxes counts, so that a tag shown back is worth nothing. */
function tagOf(group: string, from: BoxId, to: BoxId): string {
	return createHash("sha256")
		.update("larder/near/1\0")
		.update(Buffer.from(group + from + to, "hex"))
		.digest("hex")
		.slice(0, 16);
}
