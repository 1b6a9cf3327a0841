import type { Millis } from "../../base/units.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import { LEASE } from "../operator/lease.ts";
import type { Statements } from "./database.ts";

/**
 * The last lease of a box that was shut out ends within `LEASE`. Another `LEASE` later every box that has one itself knows that it
 * ended, whatever it knows of the time: it is at least when its own began. The rest is for clocks that are wrong.
 */
const REMEMBERED: Millis = 3 * LEASE;
/** So many leave room beside them, in a message of at most 4 MiB, for what is taken back and for the rest of a head. */
export const MOST_REVOKED = 20_000;

/** All boxes that are shut out. */
export async function shutOutIn(database: Statements): Promise<BoxId[]> {
	const { rows } = await database.query<{ id: BoxId }>(
		"SELECT id FROM boxes WHERE revoked_at IS NOT NULL ORDER BY id",
	);
	return rows.map(({ id }) => id);
}

/** Boxes that somebody may still let in unless told, at most as many as fit into a head; those shut out last come first. */
export async function revokedIn(
	database: Statements,
	now: Millis,
): Promise<BoxId[]> {
	const { rows } = await database.query<{ id: BoxId }>(
		`SELECT id FROM (
			SELECT id FROM boxes WHERE revoked_at > $1 ORDER BY revoked_at DESC, id LIMIT $2
		) AS latest ORDER BY id`,
		[now - REMEMBERED, MOST_REVOKED],
	);
	return rows.map(({ id }) => id);
}

/** Bans that were only heard of, under keys below a serial. */
export async function heardBelow(
	database: Statements,
	serial: number,
): Promise<{ readonly boxes: BoxId[]; readonly titles: TitleId[] }> {
	const boxes = await database.query<{ id: BoxId }>(
		"SELECT id FROM boxes WHERE revoked_at IS NOT NULL AND heard_under < $1 ORDER BY id",
		[serial],
	);
	const titles = await database.query<{ title: TitleId }>(
		"SELECT title FROM purges WHERE countermanded_at IS NULL AND heard_under < $1 ORDER BY title",
		[serial],
	);
	return {
		boxes: boxes.rows.map(({ id }) => id),
		titles: titles.rows.map(({ title }) => title),
	};
}
