import type { Bytes, Millis } from "../../base/units.ts";
import type { Held } from "../../plan/handon.ts";
import type { PlannedBox } from "../../plan/placement.ts";
import type { BoxId, Region, TitleId } from "../../wire/ids.ts";
import type { Part, State } from "../../wire/reports.ts";
import type { Statements } from "./database.ts";

/** A box to plan with, and whether it hands on what it has. */
export interface FleetBox extends PlannedBox {
	readonly leaving: boolean;
}

/** Boxes that reported their room and are not revoked. @param goneAfter who is away for longer is not counted on */
export async function planned(
	db: Statements,
	region: Region,
	now: Millis,
	goneAfter: Millis,
): Promise<FleetBox[]> {
	const { rows } = await db.query<{
		id: BoxId;
		capacity: Bytes;
		reach: State["reach"] | null;
		part: Part | null;
		online: boolean;
		turned_at: Millis;
		looked: number;
		seen: number;
	}>(
		`SELECT id, capacity - streaming_share AS capacity, reach, part, online, turned_at,
			coalesce(sum(looked), 0)::integer AS looked, coalesce(sum(seen), 0)::integer AS seen
		FROM boxes JOIN fills ON fills.box = id LEFT JOIN presence ON presence.box = id
		WHERE region = $1 AND revoked_at IS NULL GROUP BY id, fills.box`,
		[region],
	);
	return rows.map((row) => {
		const isGone = !row.online && now - row.turned_at > goneAfter;
		const leaving = row.part === "draining";
		return {
			id: row.id,
			capacity: Math.max(0, row.capacity),
			// One look of good faith, so that a new box counts as there.
			presence: (row.seen + 1) / (row.looked + 1),
			reachable: row.reach !== "none" && row.part !== "out",
			leaving,
			draining: leaving || isGone,
		};
	});
}

/** How many shards of each title each box of a region says that it holds. */
export async function held(db: Statements, region: Region): Promise<Held> {
	const { rows } = await db.query<{
		box: BoxId;
		title: TitleId;
		held: number;
	}>(
		`SELECT id AS box, said->>'id' AS title, (said->>'held')::integer AS held
		FROM boxes JOIN fills ON fills.box = id, jsonb_array_elements(titles) AS said WHERE region = $1`,
		[region],
	);
	const all = new Map(
		rows.map(({ box, title, held }) => [`${box}/${title}`, held]),
	);
	return (box, title) => all.get(`${box}/${title}`) ?? 0;
}
