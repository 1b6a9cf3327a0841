import type { Bytes, Millis } from "../../base/units.ts";
import type { BoxId, Region, TitleId } from "../../wire/ids.ts";
import {
	BY_LEVEL,
	type ByLevel,
	type Counters,
	type Part,
	type Reported,
	type State,
	type Written,
} from "../../wire/reports.ts";
import { type Concern, concernsOf, type Health } from "./concerns.ts";
import type { Statements } from "./database.ts";

/** Where the bytes came from and went, over all sessions. */
export type Traffic = Pick<
	Counters,
	| "fromNeighbours"
	| ByLevel
	| "fromOrigin"
	| "toNeighbours"
	| "toPlayers"
	| "playedFromDisk"
	| "playedFromNeighbours"
	| "playedFromOrigin"
>;

export interface RegionView extends Traffic {
	readonly region: Region;
	readonly boxes: number;
	readonly online: number;
	readonly standby: number;
	readonly capacity: Bytes;
	readonly used: Bytes;
	readonly placed: Bytes;
	readonly held: Bytes;
	/** Of what is placed: what boxes have no room for. */
	readonly missing: Bytes;
	/** Boxes whose disk is not good. */
	readonly ailing: number;
}

/** A box as the database has it. */
export interface BoxRow extends Health {
	readonly id: BoxId;
	readonly serial: string;
	readonly region: Region;
	readonly online: boolean;
	/** By the headend's clock, and the reason that was given. */
	readonly revokedAt: Millis | null;
	readonly revokedWhy: string | null;
	/** By the headend's clock: since when it is online, or away. */
	readonly turnedAt: Millis;
	readonly power: State["power"] | null;
	readonly reach: State["reach"] | null;
	/** Whether its household takes part; null of a box that does not tell. */
	readonly part: Part | null;
	readonly version: string | null;
	/** Undefined parts until the box has reported its fill level. */
	readonly capacity: Bytes | null;
	readonly used: Bytes | null;
	/** `used`, and what is begun; and what is left to others of the disk. An older box does not tell. */
	readonly reserved: Bytes | null;
	readonly reserve: Bytes | null;
	readonly placed: Bytes | null;
	readonly held: Bytes | null;
	readonly neighbours: number | null;
	readonly written: Written | null;
	/** By the headend's clock: when those figures came. */
	readonly toldAt: Millis | null;
	/** Its groups by the operator's names, nearest level first; null when it is in none. */
	readonly levels: readonly string[] | null;
	readonly fromNeighbours: Bytes;
	/** Of those by level, nearest first. */
	readonly near: readonly Bytes[];
	readonly fromOrigin: Bytes;
	readonly toNeighbours: Bytes;
	/** What it was told, and what it last said of it. */
	readonly rev: number | null;
	readonly saidRev: number | null;
	readonly phase: Reported["phase"] | null;
	readonly code: string | null;
}

export interface BoxView extends BoxRow {
	/** Why a person should look after it. */
	readonly concerns: readonly Concern[];
}

/** Fill of one title: in shards, over all boxes that it is placed on. */
export interface TitleFill {
	readonly title: TitleId;
	readonly boxes: number;
	/** Copies of shards that the plan asks for, fewest and all together. */
	readonly fewest: number;
	readonly placed: number;
	/** Copies that boxes report to hold whole. */
	readonly held: number;
	/** Boxes that have no room for some of what they are to hold of it. */
	readonly short: number;
}

const total = (name: keyof Traffic) =>
	`coalesce((past->>'${name}')::bigint, 0) + coalesce((counters->>'${name}')::bigint, 0)`;
const sum = (expression: string, name: string) =>
	`least(coalesce(sum(${expression}), 0), ${Number.MAX_SAFE_INTEGER})::bigint AS "${name}"`;

export async function regions(db: Statements): Promise<RegionView[]> {
	const traffic = [
		"fromNeighbours",
		...BY_LEVEL,
		"fromOrigin",
		"toNeighbours",
		"toPlayers",
		"playedFromDisk",
		"playedFromNeighbours",
		"playedFromOrigin",
	] as const;
	const { rows } = await db.query<RegionView>(
		`SELECT region, count(*)::integer AS boxes, (count(*) FILTER (WHERE online))::integer AS online,
			(count(*) FILTER (WHERE online AND power = 'standby'))::integer AS standby,
			(count(*) FILTER (WHERE disk->>'state' <> 'good'))::integer AS ailing,
			${["capacity", "used", "placed", "held", "missing"].map((name) => sum(name, name)).join(", ")},
			${traffic.map((name) => sum(total(name), name)).join(", ")}
		FROM boxes LEFT JOIN fills ON fills.box = id WHERE revoked_at IS NULL GROUP BY region ORDER BY region`,
	);
	return rows;
}

export async function boxes(
	db: Statements,
	now: Millis = Date.now(),
): Promise<BoxView[]> {
	const { rows } = await db.query<BoxRow>(
		`SELECT id, boxes.serial, region, online, revoked_at IS NOT NULL AS revoked, revoked_at AS "revokedAt", revoked_why AS "revokedWhy",
			turned_at AS "turnedAt", power, reach, part, version,
			capacity, used, reserved, reserve, missing, missing_at AS "missingAt", placed, held, neighbours,
			wear, written, disk, disk_at AS "diskAt", fills.received_at AS "toldAt",
			levels, json_build_array(${BY_LEVEL.map(total).join(", ")}) AS near,
			${total("fromNeighbours")} AS "fromNeighbours", ${total("fromOrigin")} AS "fromOrigin", ${total("toNeighbours")} AS "toNeighbours",
			placements.rev, reports.rev AS "saidRev", phase, code
		FROM boxes LEFT JOIN fills ON fills.box = id LEFT JOIN placements ON placements.box = id LEFT JOIN reports ON reports.box = id
			LEFT JOIN places ON places.serial = boxes.serial
		ORDER BY boxes.serial, id`,
	);
	return rows.map((row) => ({ ...row, concerns: concernsOf(row, now) }));
}

export async function titleFills(db: Statements): Promise<TitleFill[]> {
	const { rows } = await db.query<TitleFill>(
		`WITH reported AS (
			SELECT said->>'id' AS title, sum(least((said->>'held')::integer, (said->>'placed')::integer)) AS held,
				count(*) FILTER (WHERE said->>'short' <> '') AS short
			FROM fills, jsonb_array_elements(titles) AS said GROUP BY 1
		)
		SELECT title, jsonb_array_length(boxes)::integer AS boxes, fewest, copies AS placed, coalesce(held, 0)::bigint AS held,
			coalesce(short, 0)::integer AS short
		FROM holders LEFT JOIN reported USING (title)`,
	);
	return rows;
}
