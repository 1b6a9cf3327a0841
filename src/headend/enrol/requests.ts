import { type Clock, DAY } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { Database, Statements } from "../fleet/database.ts";
import type { Claim, NewKey, Wait } from "./decision.ts";

/** Who asks, by what, and the mark of its last question. */
export interface Applicant {
	readonly box: BoxId;
	readonly serial: string;
	readonly batch: string;
	readonly claim: Claim;
	readonly nonce: string;
}

/** A box that asked to be let in, as far as it is remembered. */
export interface Enrolment extends Omit<Applicant, "nonce"> {
	readonly state: "waiting" | "issued" | "rejected";
	/** Why it waits or waited; of one that is turned away, the reason that a person gave. */
	readonly why: string;
	/** When it first asked, when it last did, and when it was decided. */
	readonly askedAt: Millis;
	readonly seenAt: Millis;
	readonly decidedAt: Millis | null;
}

/**
 * So many wait at most: in all, of those who only know a claim that many know, and of those in one batch. Who comes when it is full
 * asks again later; nobody is pushed out.
 */
const MOST = { all: 10_000, shared: 5000, batch: 1000 } as const;
/** Who has not asked for so long is forgotten; so is what was decided. */
const WAITED: Millis = 7 * DAY;
const KEPT: Millis = 90 * DAY;
const KEPT_MOST = 10_000;

const COLUMNS = `box, serial, batch, claim, state, why, asked_at AS "askedAt", seen_at AS "seenAt", decided_at AS "decidedAt"`;

/** Enrolments that wait and that were decided, and the inventory. Invariant: under one serial at most one waits. */
export class Requests {
	private readonly database: Database;
	private readonly now: Clock;

	constructor(database: Database, now: Clock = Date.now) {
		this.database = database;
		this.now = now;
	}

	async of(box: BoxId): Promise<Enrolment | undefined> {
		return await this.one("box = $1", box);
	}

	async waitingAs(serial: string): Promise<Enrolment | undefined> {
		return await this.one("state = 'waiting' AND serial = $1", serial);
	}

	/** The mark of a box's last question. */
	async nonceOf(box: BoxId): Promise<string | undefined> {
		const { rows } = await this.database.query<{ nonce: string }>(
			"SELECT nonce FROM enrolments WHERE box = $1",
			[box],
		);
		return rows[0]?.nonce;
	}

	/** Has it wait, or go on waiting. False when too many wait. Nobody else may wait under its serial. */
	async wait(applicant: Applicant, why: Wait): Promise<boolean> {
		const { box, serial, batch, claim, nonce } = applicant;
		return await this.database.transaction(async (inside) => {
			const former = await inside.query<{ nonce: string }>(
				`UPDATE enrolments SET serial = $2, batch = $3, claim = $4, nonce = $5, why = $6, seen_at = $7
				WHERE box = $1 AND state = 'waiting' RETURNING nonce`,
				[box, serial, batch, claim, nonce, why, this.now()],
			);
			if (former.rows.length > 0) return true;
			if (await isFull(inside, applicant)) return false;
			await inside.query(
				`INSERT INTO enrolments (box, serial, batch, claim, nonce, state, why, asked_at, seen_at)
				VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, $7)
				ON CONFLICT (box) DO UPDATE SET serial = excluded.serial, batch = excluded.batch, claim = excluded.claim,
					nonce = excluded.nonce, state = 'waiting', why = excluded.why, asked_at = excluded.asked_at,
					seen_at = excluded.seen_at, decided_at = NULL`,
				[box, serial, batch, claim, nonce, why, this.now()],
			);
			return true;
		});
	}

	/** Another reason why it waits. */
	async note(box: BoxId, why: Wait): Promise<void> {
		await this.database.query(
			"UPDATE enrolments SET why = $2 WHERE box = $1 AND state = 'waiting'",
			[box, why],
		);
	}

	/** Remembers who was let in, whether it waited or not. */
	async issued(applicant: Omit<Applicant, "nonce">): Promise<void> {
		const { box, serial, batch, claim } = applicant;
		await this.database.query(
			`INSERT INTO enrolments (box, serial, batch, claim, nonce, state, why, asked_at, seen_at, decided_at)
			VALUES ($1, $2, $3, $4, '', 'issued', '', $5, $5, $5)
			ON CONFLICT (box) DO UPDATE SET state = 'issued', decided_at = excluded.decided_at`,
			[box, serial, batch, claim, this.now()],
		);
	}

	/** Who waits is turned away, by box or by batch. Gives how many. */
	async reject(
		which: { readonly box: BoxId } | { readonly batch: string },
		why: string,
	): Promise<number> {
		const [column, value] =
			"box" in which ? ["box", which.box] : ["batch", which.batch];
		const { rows } = await this.database.query(
			`UPDATE enrolments SET state = 'rejected', why = $2, decided_at = $3
			WHERE ${column} = $1 AND state = 'waiting' RETURNING box`,
			[value, why, this.now()],
		);
		return rows.length;
	}

	/** Those that wait, longest first, and then those decided, last first. */
	async list(limit: number): Promise<Enrolment[]> {
		const { rows } = await this.database.query<Enrolment>(
			`SELECT ${COLUMNS} FROM enrolments
			ORDER BY state <> 'waiting', CASE WHEN state = 'waiting' THEN asked_at ELSE -decided_at END, box LIMIT $1`,
			[limit],
		);
		return rows;
	}

	/** How many wait, and how many serials the inventory holds; without any, nobody is let in without a person. */
	async counts(): Promise<{
		readonly waiting: number;
		readonly inventory: number;
	}> {
		const { rows } = await this.database.query<{
			waiting: number;
			inventory: number;
		}>(
			`SELECT (SELECT count(*) FROM enrolments WHERE state = 'waiting')::integer AS waiting,
				(SELECT count(*) FROM inventory)::integer AS inventory`,
		);
		return rows[0] ?? { waiting: 0, inventory: 0 };
	}

	async inventoried(serial: string): Promise<Pick<NewKey, "auto" | "listed">> {
		const { rows } = await this.database.query<Pick<NewKey, "auto" | "listed">>(
			`SELECT EXISTS (SELECT FROM inventory) AS auto, EXISTS (SELECT FROM inventory WHERE serial = $1) AS listed`,
			[serial],
		);
		return rows[0] ?? { auto: false, listed: false };
	}

	/** Replaces the inventory. */
	async takeStock(serials: readonly string[]): Promise<void> {
		await this.database.transaction(async (inside) => {
			await inside.query("DELETE FROM inventory");
			await inside.query(
				"INSERT INTO inventory SELECT DISTINCT jsonb_array_elements_text($1::jsonb)",
				[JSON.stringify(serials)],
			);
		});
	}

	/** Forgets what is too old. */
	async prune(): Promise<void> {
		const now = this.now();
		await this.database.query(
			`DELETE FROM enrolments WHERE (state = 'waiting' AND seen_at < $1) OR decided_at < $2
				OR box IN (SELECT box FROM enrolments WHERE state <> 'waiting' ORDER BY decided_at DESC OFFSET $3)`,
			[now - WAITED, now - KEPT, KEPT_MOST],
		);
	}

	private async one(
		where: string,
		value: string,
	): Promise<Enrolment | undefined> {
		const { rows } = await this.database.query<Enrolment>(
			`SELECT ${COLUMNS} FROM enrolments WHERE ${where}`,
			[value],
		);
		return rows[0];
	}
}

async function isFull(
	statements: Statements,
	{ claim, batch }: Applicant,
): Promise<boolean> {
	const { rows } = await statements.query<Record<keyof typeof MOST, number>>(
		`SELECT count(*)::integer AS all, (count(*) FILTER (WHERE claim = 'shared'))::integer AS shared,
			(count(*) FILTER (WHERE claim = 'shared' AND batch = $1))::integer AS batch
		FROM enrolments WHERE state = 'waiting'`,
		[batch],
	);
	const now = rows[0] ?? { all: 0, shared: 0, batch: 0 };
	if (now.all >= MOST.all) return true;
	return (
		claim === "shared" && (now.shared >= MOST.shared || now.batch >= MOST.batch)
	);
}
