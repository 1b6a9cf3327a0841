import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { Statements } from "../fleet/database.ts";
import type { Outcome, Rolled, Rollout } from "./waves.ts";

/** A rollout on record. */
export interface RolloutRecord extends Rollout {
	readonly id: string;
	readonly startedAt: Millis;
}

/** A box on record, with its name for people. */
export interface RolledBox extends Rolled {
	readonly serial: string;
	/** Why it failed: a slug, and words when there are any. */
	readonly code: string | null;
	readonly detail: string | null;
}

const COLUMNS = `id::text, version, seed, waves, abort_at AS "abortAt", soak, started_at AS "startedAt", state, why, wave,
	settled_at AS "settledAt", counted_from AS "countedFrom"`;

/** Newest first. */
export async function listRollouts(
	db: Statements,
	limit: number,
): Promise<RolloutRecord[]> {
	const { rows } = await db.query<RolloutRecord>(
		`SELECT ${COLUMNS} FROM rollouts ORDER BY rollouts.id DESC LIMIT $1`,
		[limit],
	);
	return rows;
}

export async function addRollout(
	db: Statements,
	rollout: Rollout,
): Promise<void> {
	const { version, seed, waves, abortAt, soak, state, countedFrom } = rollout;
	await db.query(
		`INSERT INTO rollouts (version, seed, waves, abort_at, soak, started_at, state, counted_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $6)`,
		[
			...[version, seed, JSON.stringify(waves), abortAt, soak],
			...[countedFrom, state],
		],
	);
}

export async function saveRollout(
	db: Statements,
	{ id, state, why, wave, settledAt, countedFrom }: RolloutRecord,
): Promise<void> {
	await db.query(
		`UPDATE rollouts SET state = $2, why = $3, wave = $4, settled_at = $5, counted_from = $6 WHERE id = $1::bigint`,
		[id, state, why, wave, settledAt, countedFrom],
	);
}

/** Every box that is not shut out and has said which releases are for it. */
export async function rolledBoxes(
	db: Statements,
	rollout: string,
): Promise<RolledBox[]> {
	const { rows } = await db.query<RolledBox>(
		`SELECT boxes.id AS box, serial, online, turned_at AS "turnedAt", version, target,
			CASE WHEN update_version IS NULL THEN NULL
				ELSE jsonb_build_object('version', update_version, 'phase', update_phase, 'code', update_code) END AS update,
			told_at AS "toldAt", outcome, ended_at AS "endedAt", coalesce(code, update_code) AS code, rollout_boxes.detail
		FROM boxes LEFT JOIN rollout_boxes ON box = boxes.id AND rollout = $1::bigint
		WHERE revoked_at IS NULL AND target IS NOT NULL AND version IS NOT NULL`,
		[rollout],
	);
	return rows;
}

export async function noteTold(
	db: Statements,
	rollout: string,
	boxes: readonly BoxId[],
	now: Millis,
): Promise<void> {
	if (boxes.length === 0) return;
	await db.query(
		`INSERT INTO rollout_boxes (rollout, box, told_at)
		SELECT $1::bigint, box, $3 FROM jsonb_array_elements_text($2::jsonb) AS box
		ON CONFLICT (rollout, box) DO UPDATE SET told_at = excluded.told_at`,
		[rollout, JSON.stringify(boxes), now],
	);
}

export async function noteEnded(
	db: Statements,
	rollout: string,
	ended: readonly Outcome[],
	now: Millis,
): Promise<void> {
	if (ended.length === 0) return;
	await db.query(
		`UPDATE rollout_boxes SET outcome = r.outcome, code = r.code, detail = r.detail, ended_at = $3
		FROM jsonb_to_recordset($2::jsonb) AS r(box text, outcome text, code text, detail text)
		WHERE rollout = $1::bigint AND rollout_boxes.box = r.box`,
		[rollout, JSON.stringify(ended), now],
	);
}

/** Boxes that failed for something that may be mended are told again; those that went back from it would refuse. */
export async function forgetFailed(
	db: Statements,
	rollout: string,
): Promise<void> {
	await db.query(
		`DELETE FROM rollout_boxes WHERE rollout = $1::bigint AND outcome = 'failed' AND code IS DISTINCT FROM 'rolled-back'`,
		[rollout],
	);
}
