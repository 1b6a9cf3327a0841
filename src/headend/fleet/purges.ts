import { LarderError } from "../../base/errors.ts";
import { type Clock, DAY, HOUR } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { COUNTERMAND, PURGES_A_DAY } from "../../control/purges.ts";
import type { Bans } from "../../wire/head.ts";
import { short, type TitleId } from "../../wire/ids.ts";
import type { Database } from "./database.ts";

/** What a title that is taken back was called. */
export interface Called {
	readonly name: string;
	readonly assetId: string;
}

export interface PurgesOptions {
	readonly database: Database;
	/** Titles of which the root itself says that they are taken back. */
	readonly vouched: () => ReadonlySet<TitleId>;
	readonly now?: Clock;
}

/** Where an order comes from. */
interface Origin {
	readonly called?: Called | undefined;
	readonly heardUnder?: number | undefined;
}

/** An order that is in force. */
interface Order {
	readonly at: Millis;
	/** Nobody here gave it. */
	readonly isHeard: boolean;
}

/** The titles that are taken back. Invariant: `active` is what the database holds that is not given back; it changes only after that. */
export class Purges {
	private readonly database: Database;
	private readonly vouched: PurgesOptions["vouched"];
	private readonly now: Clock;
	private active: ReadonlyMap<TitleId, Order> = new Map();
	private readonly listeners = new Set<() => void>();

	private constructor({ database, vouched, now = Date.now }: PurgesOptions) {
		this.database = database;
		this.vouched = vouched;
		this.now = now;
	}

	static async open(options: PurgesOptions): Promise<Purges> {
		const purges = new Purges(options);
		await purges.reread();
		return purges;
	}

	/** Whether a title is taken back. */
	has(title: TitleId): boolean {
		return this.active.has(title);
	}

	/** For the head: in the order in which they were ordered. */
	get list(): Bans["purged"] {
		return [...this.active].map(([title, { at }]) => ({ title, at }));
	}

	/** Called when a title was taken back or given back. The function given back ends it. */
	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/**
	 * Takes a title back, or makes the order to one's own that was only heard of. Throws REQUEST_INVALID when it is taken back already,
	 * and PURGE_LIMIT when no box would obey.
	 * @param called undefined for a title that is not on the shelf
	 * @param after boxes obey only what is not dated before the version of the last bans
	 */
	async order(
		title: TitleId,
		called: Called | undefined,
		why: string,
		after: Millis,
	): Promise<void> {
		const before = this.active.get(title);
		if (before?.isHeard) return await this.adopt({ title, ...before }, why);
		if (before !== undefined)
			throw new LarderError(
				"REQUEST_INVALID",
				`${short(title)} is taken back already`,
			);
		const at = Math.max(this.now(), after);
		if (!this.vouched().has(title) && this.left(at) < 1)
			throw new LarderError(
				"PURGE_LIMIT",
				`${PURGES_A_DAY} titles were taken back today (UTC), and boxes obey no more without the root's signature`,
			);
		await this.write(title, at, why, { called });
		await this.reread();
	}

	/** Gives a title back. Throws TITLE_UNKNOWN or REQUEST_INVALID when it is too late. */
	async countermand(title: TitleId): Promise<void> {
		if (!this.has(title))
			throw new LarderError(
				"TITLE_UNKNOWN",
				`${short(title)} is not taken back`,
			);
		const { rows } = await this.database.query(
			`UPDATE purges SET countermanded_at = $2 WHERE title = $1 AND removed_at IS NULL AND at > $3 RETURNING title`,
			[title, this.now(), this.now() - COUNTERMAND],
		);
		if (rows.length === 0)
			throw new LarderError(
				"REQUEST_INVALID",
				`${short(title)} was taken back more than ${COUNTERMAND / HOUR} h ago: boxes have deleted it, publish it again`,
			);
		await this.reread();
	}

	/**
	 * Of the purges that the region knows of, those that this database does not, as after a restore. What exceeds its day is
	 * left out.
	 */
	async missing(heard: Bans["purged"]): Promise<Bans["purged"]> {
		const { rows } = await this.database.query<{
			title: TitleId;
			countermanded_at: Millis | null;
		}>("SELECT title, countermanded_at FROM purges");
		const known = new Map(
			rows.map((row) => [row.title, row.countermanded_at ?? Infinity]),
		);
		const vouched = this.vouched();
		const missing: { title: TitleId; at: Millis }[] = [];
		for (const { title, at } of heard) {
			// What was given back here, and not taken back again after that, stays.
			if (at <= (known.get(title) ?? -1)) continue;
			if (vouched.has(title) || this.left(at, missing) > 0)
				missing.push({ title, at });
		}
		return missing;
	}

	/**
	 * Takes up one of those.
	 * @param heardUnder the serial of the key under which the region had it, when nobody here says so
	 */
	async adopt(
		{ title, at }: Bans["purged"][number],
		why: string,
		heardUnder?: number,
	): Promise<void> {
		await this.write(title, at, why, { heardUnder });
		await this.reread();
	}

	/** Gives back one that was only heard of, whatever its age: boxes may have deleted it. */
	async disown(title: TitleId): Promise<void> {
		await this.database.query(
			"UPDATE purges SET countermanded_at = $2 WHERE title = $1 AND heard_under IS NOT NULL",
			[title, this.now()],
		);
		await this.reread();
	}

	/** Those whose files are still here: given back, taken back, and of these the ones whose day is over. */
	async unsettled(): Promise<Record<"back" | "away" | "over", TitleId[]>> {
		const { rows } = await this.database.query<{
			title: TitleId;
			back: boolean;
			over: boolean;
		}>(
			`SELECT title, countermanded_at IS NOT NULL AS back, at <= $1 AS over FROM purges WHERE removed_at IS NULL`,
			[this.now() - COUNTERMAND],
		);
		const those = (fits: (row: (typeof rows)[number]) => boolean) =>
			rows.filter(fits).map(({ title }) => title);
		return {
			back: those(({ back }) => back),
			away: those(({ back }) => !back),
			over: those(({ back, over }) => !back && over),
		};
	}

	/** Key and files of a title are gone for good. */
	async removed(title: TitleId): Promise<void> {
		await this.database.query(
			"UPDATE purges SET removed_at = $2 WHERE title = $1",
			[title, this.now()],
		);
		for (const listener of this.listeners) listener();
	}

	/** How many more boxes would obey on the day of an instant (UTC), beside those that are about to be taken up. */
	private left(at: Millis, beside: Bans["purged"] = []): number {
		const day = Math.floor(at / DAY);
		const vouched = this.vouched();
		const others = [...this.list, ...beside].filter(
			({ title, at }) => Math.floor(at / DAY) === day && !vouched.has(title),
		);
		return PURGES_A_DAY - others.length;
	}

	/** Whatever stood under the title is over. */
	private async write(
		title: TitleId,
		at: Millis,
		why: string,
		{ called, heardUnder }: Origin,
	): Promise<void> {
		const { name = null, assetId = null } = called ?? {};
		await this.database.query(
			`INSERT INTO purges (title, name, asset_id, at, why, heard_under) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (title) DO UPDATE SET at = excluded.at, why = excluded.why, heard_under = excluded.heard_under,
				countermanded_at = NULL, removed_at = CASE WHEN purges.countermanded_at IS NULL THEN purges.removed_at END,
				name = coalesce(excluded.name, purges.name), asset_id = coalesce(excluded.asset_id, purges.asset_id)`,
			[title, name, assetId, at, why, heardUnder ?? null],
		);
	}

	private async reread(): Promise<void> {
		const { rows } = await this.database.query<Order & { title: TitleId }>(
			`SELECT title, at, heard_under IS NOT NULL AS "isHeard" FROM purges WHERE countermanded_at IS NULL ORDER BY at, title`,
		);
		this.active = new Map(rows.map(({ title, ...order }) => [title, order]));
		for (const listener of this.listeners) listener();
	}
}
