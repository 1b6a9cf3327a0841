import * as z from "zod/mini";
import { type Bytes, KiB } from "../base/units.ts";
import { count, titleId } from "./ids.ts";

/**
 * Why a block that a viewer wanted came over the trunk, or not at all; each has one.
 * `not-placed`: no copy is there yet. `holder-offline`: those who are to hold it are away. `holder-busy`: they refused.
 * `too-slow`: they could not be counted on in time. `verification-failed`: what came was not what was published.
 * `entitlement`: the title's key was not to be had. `disk`: it lies on a disk, this box's or a holder's, and cannot be read.
 */
export const MISSES = [
	"not-placed",
	"holder-offline",
	"holder-busy",
	"too-slow",
	"verification-failed",
	"entitlement",
	"disk",
] as const;
export type Miss = (typeof MISSES)[number];
export type Misses = Partial<Record<Miss, number>>;

/** Sessions in one report, and how long a report may be. */
export const MOST_WATCHED = 32;
export const MAX_QUALITY: Bytes = 48 * KiB;
/** Start-ups in one entry. */
export const MOST_STARTS = 64;

/** Bits a second. */
export const MOST_BITRATE = 1e10;

/** No session is longer than an hour; more leads no further than a number goes. */
const few = count.check(z.maximum(1_000_000));
const span = count.check(z.maximum(100 * 3_600_000));
const bytes = count.check(z.maximum(2 ** 44));

const missed = z.object(
	Object.fromEntries(MISSES.map((cause) => [cause, z.optional(few)])) as Record<
		Miss,
		z.ZodMiniOptional<typeof few>
	>,
);

/**
 * How one title was to watch, in one session or in several put together. Times in milliseconds.
 * The words are those of CTA-2066 (Streaming Quality of Experience Events, Properties and Metrics).
 */
export const watched = z.object({
	/** Drawn anew for every entry, at least once an hour: it tells what was said twice, and names nobody. */
	id: z.string().check(z.regex(/^[0-9a-f]{16}$/)),
	title: titleId,
	/** Video start-up times: one for each session that began in it and came to show something. */
	starts: z.array(span).check(z.maxLength(MOST_STARTS)),
	/** Playing time that was shown. */
	played: span,
	/** Rebuffering events, and how long they were in all; start-up and winding are none. */
	stalls: few,
	stalled: span,
	seeks: few,
	/** Of rendition, by the player. */
	switches: few,
	/** Bits a second of what was shown, on average; 0 when nothing was. */
	bitrate: count.check(z.maximum(MOST_BITRATE)),
	disk: bytes,
	neighbours: bytes,
	/** Of those, by how near the neighbour is; the rest came from farther away. */
	near: z.optional(z.array(bytes).check(z.maxLength(16))),
	origin: bytes,
	misses: missed,
});
export type Watched = z.output<typeof watched>;

/** `region/<region>/up/quality`: what was watched lately. It says neither by whom nor exactly when. */
export const quality = z.object({
	watched: z.array(watched).check(z.maxLength(MOST_WATCHED)),
});
export type Quality = z.output<typeof quality>;
