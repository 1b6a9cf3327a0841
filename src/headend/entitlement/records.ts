import type { Millis } from "../../base/units.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import type { Counters } from "../../wire/reports.ts";
import type { Statements } from "../fleet/database.ts";

/** Counters that tell how much a household watches. */
const PLAYED: readonly (keyof Counters)[] = [
	"toPlayers",
	"playedFromDisk",
	"playedFromNeighbours",
	"playedFromOrigin",
];

// One row for each box and title: the newest lease that the box was given. Nothing else here tells what is watched.

/** Writes down a lease before it is given. */
export async function recordLease(
	db: Statements,
	box: BoxId,
	title: TitleId,
	lease: {
		readonly givenAt: Millis;
		readonly until: Millis;
		/** Until when the callback's yes holds; what was known stays when it did not speak. */
		readonly allowed: Millis | undefined;
	},
): Promise<void> {
	await db.query(
		`INSERT INTO leases (box, title, given_at, until, allowed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (box, title) DO UPDATE SET given_at = excluded.given_at, until = excluded.until,
			allowed = coalesce(excluded.allowed, leases.allowed), recalled = false`,
		[box, title, lease.givenAt, lease.until, lease.allowed ?? null],
	);
}

/** Until when the callback's last yes holds. */
export async function allowedUntil(
	db: Statements,
	box: BoxId,
	title: TitleId,
): Promise<Millis | undefined> {
	const { rows } = await db.query<{ allowed: Millis | null }>(
		"SELECT allowed FROM leases WHERE box = $1 AND title = $2",
		[box, title],
	);
	return rows[0]?.allowed ?? undefined;
}

/** Calls back the leases that a rule which was just made ends; gives the boxes that still hold one. */
export async function recallLeases(
	db: Statements,
	title: TitleId,
	box: BoxId | undefined,
	now: Millis,
): Promise<BoxId[]> {
	const { rows } = await db.query<{ box: BoxId }>(
		`UPDATE leases SET recalled = true, allowed = NULL WHERE title = $1 AND until > $2 AND CASE
			WHEN $3::text IS NULL THEN NOT EXISTS (SELECT FROM entitlements AS own WHERE own.title = $1 AND own.box = leases.box AND own.rule = 'allow')
			ELSE box = $3 END
		RETURNING box`,
		[title, now, box ?? null],
	);
	return rows.map(({ box }) => box);
}

/** What was called back from a box and may still be there. */
export async function recalledFrom(
	db: Statements,
	box: BoxId,
	now: Millis,
): Promise<TitleId[]> {
	const { rows } = await db.query<{ title: TitleId }>(
		"SELECT title FROM leases WHERE box = $1 AND recalled AND until > $2",
		[box, now],
	);
	return rows.map(({ title }) => title);
}

/** The box says that it forgot the key. */
export async function endLease(
	db: Statements,
	box: BoxId,
	title: TitleId,
	now: Millis,
): Promise<void> {
	await db.query(
		"UPDATE leases SET until = least(until, $3), recalled = false WHERE box = $1 AND title = $2 AND recalled",
		[box, title, now],
	);
}

/**
 * Erases what a box was given; gives how many records there were. Of what still runs there stays until when it does, and no
 * more: else it could not be called back.
 */
export async function eraseLeases(
	db: Statements,
	box: BoxId,
	now: Millis,
): Promise<number> {
	const over = await db.query(
		"DELETE FROM leases WHERE box = $1 AND until <= $2 RETURNING 1",
		[box, now],
	);
	const running = await db.query(
		"UPDATE leases SET given_at = 0, allowed = NULL WHERE box = $1 AND given_at > 0 RETURNING 1",
		[box],
	);
	return over.rows.length + running.rows.length;
}

/** How much was played on a box, in all, is nothing from here on; what its household gave to others stays. */
export async function erasePlayed(db: Statements, box: BoxId): Promise<void> {
	// The box goes on counting from where it is: that much is taken off.
	const less = PLAYED.map(
		(name) => `'${name}', -coalesce((counters->>'${name}')::bigint, 0)`,
	);
	await db.query(
		`UPDATE fills SET past = past || jsonb_build_object(${less.join(", ")}) WHERE box = $1`,
		[box],
	);
}

/** Erases what was given before, except what still runs. */
export async function pruneLeases(
	db: Statements,
	before: Millis,
	now: Millis,
): Promise<void> {
	await db.query("DELETE FROM leases WHERE given_at < $1 AND until <= $2", [
		before,
		now,
	]);
}
