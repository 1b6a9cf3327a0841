import * as z from "zod/mini";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Clock, DAY } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Database } from "./fleet/database.ts";

/** How long the log remembers. */
const KEPT: Millis = 400 * DAY;

/** Every kind of change, by a name that stays: programs look for it. */
export const ACTIONS = [
	"backup",
	"command",
	"enrol-approve",
	"enrol-auto",
	"enrol-reject",
	"forget",
	"group",
	"key-allow",
	"key-deny",
	"key-unset",
	"keys",
	"plan",
	"purge",
	"purge-undo",
	"revoke",
	"revoke-undo",
	"rollout-abort",
	"rollout-pause",
	"rollout-resume",
	"rollout-start",
	"support",
	"token-add",
	"token-remove",
] as const;
export type Action = (typeof ACTIONS)[number];

/** Who does it: the name of a token, and the address it was shown from. */
export interface Actor {
	readonly name: string;
	readonly address?: string;
}

/** For what the headend does by itself. */
export const HEADEND: Actor = { name: "headend" };

export interface Change {
	readonly action: Action;
	/** What is changed: the id of a box or title, a token's name, a file. */
	readonly subject?: string | undefined;
	readonly why?: string | undefined;
	/** How it was asked for: "POST /api/revoke". */
	readonly request?: string;
}

/** A reason in a person's words: one line that no terminal takes for orders. */
export const reason = z
	.string()
	.check(
		z.trim(),
		z.regex(
			/^(?:[^\p{C}\p{Zl}\p{Zp}]|\u200c|\u200d){1,200}$/u,
			"must be 1 to 200 characters on one line",
		),
	);

export interface Entry {
	readonly id: string;
	readonly at: Millis;
	readonly who: string;
	readonly address: string | null;
	readonly request: string | null;
	readonly action: Action;
	readonly subject: string | null;
	readonly why: string | null;
	/** Null when it was begun and what came of it is not known: it still goes on, or the headend ended in the middle. */
	readonly outcome: "done" | "failed" | null;
	/** Why it failed. */
	readonly code: string | null;
}

/** Changes of what a household may play. */
const OF_VIEWING: ReadonlySet<Action> = new Set([
	"forget",
	"key-allow",
	"key-deny",
	"key-unset",
]);

/** For eyes that are not an operator's: that there was a change, not for which household or title. */
export function veiled(entries: readonly Entry[]): Entry[] {
	return entries.map((entry) =>
		OF_VIEWING.has(entry.action)
			? { ...entry, subject: null, why: null }
			: entry,
	);
}

/**
 * The log of every change: who, from where, when, what, why, and what came of it.
 * Invariant: a change is made only after its record is in the database.
 */
export class Audit {
	private readonly database: Database;
	private readonly log: Log;
	private readonly now: Clock;
	private readonly listeners = new Set<() => void>();
	private timer: NodeJS.Timeout | undefined;

	private constructor(database: Database, log: Log, now: Clock) {
		this.database = database;
		this.log = log;
		this.now = now;
	}

	/** Forgets what is too old, now and every day. */
	static async open(
		database: Database,
		log: Log,
		now: Clock = Date.now,
	): Promise<Audit> {
		const audit = new Audit(database, log, now);
		await audit.prune();
		audit.timer = setInterval(() => {
			audit.prune().catch((error: unknown) => {
				log.error({ err: error }, "old audit records were not removed");
			});
		}, DAY).unref();
		return audit;
	}

	/**
	 * Records a change, makes it, and records what came of it. Rejects with AUDIT_FAILED, nothing done, when it cannot be
	 * recorded, and as `work` does.
	 * @param fault why a result is none: a code
	 */
	async carryOut<T>(
		by: Actor,
		change: Change,
		work: () => Promise<T>,
		fault: (result: T) => string | undefined = () => undefined,
	): Promise<T> {
		const id = await this.begin(by, change);
		try {
			const result = await work();
			await this.end(id, fault(result));
			return result;
		} catch (error) {
			await this.end(
				id,
				error instanceof LarderError ? error.code : "INTERNAL_FAULT",
			);
			throw error;
		}
	}

	/** Records what is done already, or was refused with a code. Rejects with AUDIT_FAILED. */
	async note(by: Actor, change: Change, code?: string): Promise<void> {
		await this.end(await this.begin(by, change), code);
	}

	/**
	 * Newest first.
	 * @param before the id of an entry: only older ones
	 */
	async entries(
		limit: number,
		since: Millis = 0,
		before = String(Number.MAX_SAFE_INTEGER),
	): Promise<Entry[]> {
		const { rows } = await this.database.query<Entry>(
			`SELECT id::text, audit.at, who, address, request, action, subject, why, outcome, code
			FROM audit LEFT JOIN audit_outcomes ON change = id
			WHERE audit.at >= $2 AND audit.id < $3::bigint ORDER BY audit.id DESC LIMIT $1`,
			[limit, since, before],
		);
		return rows;
	}

	/** Called when there is something new to read. The function given back ends it. */
	onEntry(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	close(): void {
		clearInterval(this.timer);
		this.listeners.clear();
	}

	private async prune(): Promise<void> {
		await this.database.query("DELETE FROM audit WHERE at < $1", [
			this.now() - KEPT,
		]);
	}

	private async begin(by: Actor, change: Change): Promise<string> {
		const { action, subject = null, why = null, request = null } = change;
		try {
			const { rows } = await this.database.query<{ id: string }>(
				`INSERT INTO audit (at, who, address, request, action, subject, why)
				VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id::text`,
				[
					...[this.now(), by.name, by.address ?? null],
					...[request, action, subject, why],
				],
			);
			const [row] = rows;
			if (row === undefined) throw new Error("no row was written");
			return row.id;
		} catch (cause) {
			throw new LarderError(
				"AUDIT_FAILED",
				`${action} could not be recorded, so it is not done`,
				{ cause },
			);
		}
	}

	/** Does not reject: what was done stays done, and its record says that nobody knows. */
	private async end(id: string, code: string | undefined): Promise<void> {
		try {
			await this.database.query(
				"INSERT INTO audit_outcomes (change, at, outcome, code) VALUES ($1, $2, $3, $4)",
				[id, this.now(), code === undefined ? "done" : "failed", code ?? null],
			);
		} catch (error) {
			this.log.error(
				{ change: id },
				`what came of a change was not recorded: ${describe(error)}`,
			);
		}
		for (const listener of this.listeners) listener();
	}
}
