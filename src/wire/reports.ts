import * as z from "zod/mini";
import { type Bytes, KiB } from "../base/units.ts";
import { boxId, count, instant, region, titleId } from "./ids.ts";
import { ranges } from "./ranges.ts";
import { version } from "./release.ts";

const session = z.string().check(z.regex(/^[0-9a-f]{16}$/));
/** What no database takes for text is not taken over from a box either: half a character, and the character 0. */
const text = z.pipe(
	z.string().check(z.maxLength(500)),
	z.transform((said) => said.toWellFormed().replaceAll("\0", "\ufffd")),
);
/** As many as one box can have neighbours, or shards of one title. */
const few = count.check(z.maximum(1_000_000));

/** A release on its way to a box, on trial there, or why it is not there: a slug. */
const update = z.object({
	version,
	phase: z.enum(["fetching", "trial", "failed"]),
	code: z.optional(text),
});
export type Update = z.output<typeof update>;

/** Whether the household takes part: while it drains, it gives what it has and takes nothing more. */
export const PARTS = ["in", "draining", "out"] as const;
export type Part = (typeof PARTS)[number];

/** `up/state`, retained: birth, and as will with `online: false`. A will of an older session must not end a newer one. */
export const state = z.object({
	session,
	online: z.boolean(),
	since: instant,
	box: boxId,
	region,
	version: text,
	power: z.enum(["active", "standby", "off"]),
	reach: z.enum(["direct", "nat", "none"]),
	/** An older box takes part. */
	part: z.optional(z.enum(PARTS)),
	/** Which releases are for it. */
	target: z.optional(text),
	update: z.optional(update),
});
export type State = z.output<typeof state>;

/** `up/reported`, retained: what became of the placement (epoch, rev), or of a message that was refused. */
export const reported = z.object({
	session,
	at: instant,
	epoch: count,
	rev: count,
	phase: z.enum([
		"accepted",
		"fetching",
		"applied",
		"short",
		"failed",
		"refused",
	]),
	/** A stable slug: why it failed, is short or was refused. */
	code: z.optional(text),
	detail: z.optional(text),
	/** With `short`: placed bytes that there is no room for. */
	missingBytes: z.optional(count),
});
export type Reported = z.output<typeof reported>;

/** Where bytes came from and went to since the session began. */
export const counters = z.object({
	fromNeighbours: count,
	/** Of those, by how near the neighbour is; the rest came from farther away. An older box does not tell. */
	fromLevel0: z.optional(count),
	fromLevel1: z.optional(count),
	fromLevel2: z.optional(count),
	fromLevel3: z.optional(count),
	fromOrigin: count,
	toNeighbours: count,
	toPlayers: count,
	/** Of `toPlayers`, by where the block was when the player asked for it. */
	playedFromDisk: count,
	playedFromNeighbours: count,
	playedFromOrigin: count,
	wrongBlocks: count,
});
export type Counters = z.output<typeof counters>;

/** The counters by level: src/wire/near.ts. */
export const BY_LEVEL = [
	"fromLevel0",
	"fromLevel1",
	"fromLevel2",
	"fromLevel3",
] as const satisfies readonly (keyof Counters)[];
export type ByLevel = (typeof BY_LEVEL)[number];

/** What came from neighbours by level, nearest first. */
export function nearIn(counted: Pick<Counters, ByLevel>): Bytes[] {
	return BY_LEVEL.map((name) => counted[name] ?? 0);
}

/** What flash says of its age. */
const wear = z.object({
	/** Percent of the life that its maker gives it, rounded up to tens; 110 is beyond. */
	used: count.check(z.maximum(110)),
	/** Of blocks that take the place of worn ones. */
	reserve: z.enum(["normal", "warning", "urgent"]),
});
export type Wear = z.output<typeof wear>;

/** How the disk does. While it is not good, nothing is written to it and what lies there is served. */
const disk = z.object({
	state: z.enum(["good", "full", "slow", "read-only", "failing"]),
	/** Since the agent started: what the medium did not give back, and blocks that were not what was written. */
	unreadable: count,
	changed: count,
	/** Files that were not as the books say. */
	mended: count,
	/** Bytes that were read through while the box was idle, and were as they were written. */
	scrubbed: count,
});
export type DiskReport = z.output<typeof disk>;

/** Bytes of titles written to the disk: since the receiver booted, and in all. A power cut forgets the last hour. */
const written = z.object({ boot: count, all: count });
export type Written = z.output<typeof written>;

/** `up/fill`: fill levels in bytes. Capacity and UsedSpace as in Broadband Forum TR-140, StorageService. */
export const fill = z.object({
	session,
	at: instant,
	/** What quota and disk allow just now. */
	capacity: count,
	usedSpace: count,
	/** `usedSpace`, and what shards that are begun will take yet. */
	reservedSpace: z.optional(count),
	/** What is always left free of the disk, for others. */
	reserve: z.optional(count),
	/** The part of the capacity kept for what is watched without being placed. */
	streamingShare: count,
	transientBytes: count,
	placedBytes: count,
	heldBytes: count,
	/** Placed bytes that there is no room for; `short` says of which shards. */
	missingBytes: z.optional(count),
	shards: z.object({ placed: count, held: count }),
	titles: z
		.array(
			z.object({
				...{ id: titleId, placed: few, held: few, bytes: count },
				short: z.optional(ranges),
			}),
		)
		.check(z.maxLength(100_000)),
	neighbours: few,
	counters,
	/** Of a disk that is flash and says so. */
	wear: z.optional(wear),
	written: z.optional(written),
	disk: z.optional(disk),
});
export type Fill = z.output<typeof fill>;

const asking = { id: z.string().check(z.regex(/^[0-9a-f]{32}$/)), session };

/** `up/request`: the box asks for something; the answer is a command that carries the request's id. */
export const request = z.discriminatedUnion("kind", [
	z.object({ ...asking, kind: z.literal("key"), title: titleId }),
	/** A new membership of the same box; the id is the nonce of the answer. */
	z.object({ ...asking, kind: z.literal("renew") }),
	/** What time it is; the id is the nonce of the answer. */
	z.object({ ...asking, kind: z.literal("time") }),
]);
export type Request = z.output<typeof request>;
export type KeyRequest = Extract<Request, { kind: "key" }>;

/** A support bundle is at most so long. */
export const MAX_BUNDLE: Bytes = 256 * KiB;

/** `up/response`: what became of a command. */
export const response = z.object({
	id: z.string().check(z.maxLength(64)),
	session,
	ok: z.boolean(),
	code: z.optional(text),
	detail: z.optional(text),
	/** After `support`: a .tar.gz in base64. */
	bundle: z.optional(
		z
			.string()
			.check(
				z.regex(/^[\w+/]*={0,2}$/),
				z.maxLength(4 * Math.ceil(MAX_BUNDLE / 3)),
			),
	),
});
export type Response = z.output<typeof response>;
