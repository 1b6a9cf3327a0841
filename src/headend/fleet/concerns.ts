import { DAY } from "../../base/time.ts";
import { type Bytes, formatBytes, type Millis } from "../../base/units.ts";
import { isWorn, wearWords } from "../../plan/wear.ts";
import type { DiskReport, Wear } from "../../wire/reports.ts";

/** Recordings come and go: a box that lacks room for so long needs somebody. */
const LONG: Millis = DAY;
/** A block that is lost now and then is fetched again; a disk that goes on losing them is on its way out. */
const LOST = 3;

/** How a box does, as it last said. An older one does not tell of its disk and of what it lacks. */
export interface Health {
	readonly revoked: boolean;
	/** Of what is placed: what there is no room for, and since when by the headend's clock. */
	readonly missing: Bytes | null;
	readonly missingAt: Millis | null;
	/** Of a disk that is flash and says how old it is. */
	readonly wear: Wear | null;
	readonly disk: DiskReport | null;
	/** By the headend's clock: since when its disk is as it is. */
	readonly diskAt: Millis | null;
}

/** Why a person should look after a box. */
export interface Concern {
	/** Stable: `disk-failing`, `disk-read-only`, `disk-full`, `disk-slow`, `disk-loses`, `short`, `worn`. */
	readonly kind:
		| `disk-${Exclude<DiskReport["state"], "good"> | "loses"}`
		| "short"
		| "worn";
	readonly text: string;
	/** By the headend's clock; null where nobody knows. */
	readonly since: Millis | null;
	readonly remedy: string;
}

const REMEDIES = {
	failing: "Replace the receiver or its disk.",
	"read-only": "Have the receiver's file system checked; the disk may fail.",
	full: "Others fill the disk: raise store.reserve or lower store.quota of these boxes.",
	slow: "Look at what else writes to the disk; it may be failing.",
} as const satisfies Record<Exclude<DiskReport["state"], "good">, string>;

/** What of a box needs a person, the worst first; nothing of one that is shut out. */
export function concernsOf(box: Health, now: Millis): Concern[] {
	if (box.revoked) return [];
	return [...ofDisk(box), ...ofWear(box), ...ofRoom(box, now)];
}

function ofDisk({ disk, diskAt }: Health): Concern[] {
	if (disk === null) return [];
	const { state, unreadable, changed } = disk;
	if (state !== "good")
		return [
			{
				kind: `disk-${state}`,
				text: `the disk is ${state}`,
				since: diskAt,
				remedy: REMEDIES[state],
			},
		];
	if (unreadable + changed < LOST) return [];
	return [
		{
			kind: "disk-loses",
			text: `the disk lost ${unreadable + changed} blocks since the agent started`,
			since: null,
			remedy: REMEDIES.failing,
		},
	];
}

function ofWear({ wear }: Health): Concern[] {
	if (wear === null || !isWorn(wear)) return [];
	return [
		{
			kind: "worn",
			text: `the flash is worn: ${wearWords(wear)}`,
			since: null,
			remedy: "Lower fill.write_budget, and plan to replace the receiver.",
		},
	];
}

function ofRoom({ missing, missingAt }: Health, now: Millis): Concern[] {
	if (!missing || missingAt === null || now - missingAt < LONG) return [];
	return [
		{
			kind: "short",
			text: `no room for ${formatBytes(missing)} of what is placed`,
			since: missingAt,
			remedy: "Lower copies, or give Larder more of the disk: store.quota.",
		},
	];
}
