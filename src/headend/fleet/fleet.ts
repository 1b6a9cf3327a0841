import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, HOUR } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { Held } from "../../plan/handon.ts";
import type { Bans } from "../../wire/head.ts";
import type { BoxId, Region } from "../../wire/ids.ts";
import type { Groups } from "../../wire/near.ts";
import type { Fill, Reported, State } from "../../wire/reports.ts";
import type { Issued } from "../operator/issue.ts";
import { MOST_REVOKED, revokedIn, shutOutIn } from "./bans.ts";
import type { Database } from "./database.ts";
import { groupsOf, type Place, putPlaces } from "./groups.ts";
import { type FleetBox, held, planned } from "./planned.ts";
import {
	addBoxes,
	writeFills,
	writeReports,
	writeStates,
} from "./recording.ts";

/** Reports are gathered this long and written together. */
const GATHERING: Millis = 200;
/** Presence counters are halved at this many looks, so that what was months ago fades. */
const PRESENCE_MEMORY = 512;

export interface FleetOptions {
	readonly database: Database;
	/** The operator's record of a box; undefined for one that was never issued. */
	readonly issued: (box: BoxId) => Promise<Issued | undefined>;
	readonly log: Log;
	readonly now?: Clock;
}

/** What was just written. */
export interface FleetChange {
	readonly boxes: readonly BoxId[];
}

/**
 * What is known of the boxes: the latest each said, and how often it is there. It is the truth of the headend.
 * Invariant: what was recorded is in the database or in `pending`; one write runs at a time.
 */
export class Fleet {
	private readonly database: Database;
	private readonly issued: FleetOptions["issued"];
	private readonly log: Log;
	private readonly now: Clock;
	private readonly listeners = new Set<(change: FleetChange) => void>();
	private readonly known = new Set<BoxId>();
	private pending = gather();
	private timer: NodeJS.Timeout | undefined;
	private writing: Promise<void> = Promise.resolve();
	private closed = false;

	constructor({ database, issued, log, now = Date.now }: FleetOptions) {
		this.database = database;
		this.issued = issued;
		this.log = log;
		this.now = now;
	}

	/** A birth, or a will; a will of an older session than the last birth changes nothing. */
	recordState(box: BoxId, state: State): void {
		const before = this.pending.states.get(box);
		if (before?.online && !state.online && before.session !== state.session)
			return;
		this.pending.states.set(box, state);
		this.later();
	}

	recordReported(box: BoxId, reported: Reported): void {
		this.pending.reports.set(box, reported);
		this.later();
	}

	/** The newest of a box replaces what is not yet written. */
	recordFill(box: BoxId, fill: Fill): void {
		this.pending.fills.set(box, fill);
		this.later();
	}

	/** A box that was let in just now: it is known before it says anything. */
	async enter(issued: Issued): Promise<void> {
		await addBoxes(this.database, [issued], this.now());
		this.known.add(issued.box);
		this.tell([issued.box]);
	}

	/** Called with what has been written, after it can be read. The function given back ends it. */
	onChange(listener: (change: FleetChange) => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/** Writes what is recorded and not yet written. Rejects when the database does. */
	flush(): Promise<void> {
		clearTimeout(this.timer);
		this.timer = undefined;
		const write = this.writing.then(() => this.write());
		this.writing = write.catch(() => undefined);
		return write;
	}

	/** Boxes that can be planned with; see there. */
	async planned(region: Region, goneAfter: Millis): Promise<FleetBox[]> {
		await this.flush();
		return await planned(this.database, region, this.now(), goneAfter);
	}

	/** How many shards of each title each box says that it holds. */
	async held(region: Region): Promise<Held> {
		await this.flush();
		return await held(this.database, region);
	}

	/** Says where receivers are. It is for the next plan to tell them. */
	async place(places: readonly Place[]): Promise<void> {
		await putPlaces(this.database, places);
	}

	/** The groups of each box that is in any. */
	groups(region: Region): Promise<ReadonlyMap<BoxId, Groups>> {
		return groupsOf(this.database, region);
	}

	/** The rev of the placement that each box says it follows. */
	async followed(): Promise<ReadonlyMap<BoxId, number>> {
		await this.flush();
		const { rows } = await this.database.query<{ box: BoxId; rev: number }>(
			"SELECT box, rev FROM reports",
		);
		return new Map(rows.map(({ box, rev }) => [box, rev]));
	}

	/** Boxes that are online and have not told their levels since, or not since they started; longest silent first. */
	async silent(since: Millis, limit: number): Promise<BoxId[]> {
		await this.flush();
		const { rows } = await this.database.query<{ id: BoxId }>(
			`SELECT id FROM boxes LEFT JOIN fills ON fills.box = id
			WHERE online AND revoked_at IS NULL AND (received_at IS NULL OR received_at < $1 OR fills.session <> boxes.session)
			ORDER BY received_at NULLS FIRST LIMIT $2`,
			[since, limit],
		);
		return rows.map(({ id }) => id);
	}

	/** Notes for every box whether it is there in this hour of the week; to be called at even intervals. */
	async countPresence(): Promise<void> {
		await this.flush();
		await this.database.query(
			`INSERT INTO presence (box, hour, looked, seen) SELECT id, $1, 1, online::integer FROM boxes
			ON CONFLICT (box, hour) DO UPDATE SET
				looked = CASE WHEN presence.looked < $2 THEN presence.looked + 1 ELSE presence.looked / 2 + 1 END,
				seen = CASE WHEN presence.looked < $2 THEN presence.seen ELSE presence.seen / 2 END + excluded.seen`,
			[Math.floor(this.now() / HOUR + 4 * 24) % (7 * 24), PRESENCE_MEMORY],
		);
	}

	/**
	 * Shuts a box out of plans and forgets what it was told; the head tells the boxes. The first reason stays, but for one that was
	 * only heard of. False when no such box was ever issued.
	 * @param heardUnder the serial of the key under which the region had it, when nobody here says so
	 */
	async revoke(
		box: BoxId,
		why?: string,
		heardUnder?: number,
	): Promise<boolean> {
		await this.flush();
		const issued = await this.issued(box);
		if (issued === undefined) return false;
		await addBoxes(this.database, [issued], this.now());
		await this.database.query(
			`UPDATE boxes SET revoked_at = coalesce(revoked_at, $2), revoked_why = $3, heard_under = $4
			WHERE id = $1 AND (revoked_at IS NULL OR heard_under IS NOT NULL)`,
			[box, this.now(), why ?? null, heardUnder ?? null],
		);
		await this.database.query("DELETE FROM placements WHERE box = $1", [box]);
		this.tell([box]);
		return true;
	}

	/** Lets a box in again. False when it is not shut out. */
	async readmit(box: BoxId): Promise<boolean> {
		const { rows } = await this.database.query(
			`UPDATE boxes SET revoked_at = NULL, revoked_why = NULL, heard_under = NULL, readmitted_at = $2
			WHERE id = $1 AND revoked_at IS NOT NULL RETURNING id`,
			[box, this.now()],
		);
		if (rows.length > 0) this.tell([box]);
		return rows.length > 0;
	}

	/** Of the boxes that bans shut out, those that are not shut out here and were not let in again since those were signed. */
	async missing({
		revoked,
		issuedAt,
	}: Pick<Bans, "revoked" | "issuedAt">): Promise<BoxId[]> {
		const { rows } = await this.database.query<{ id: BoxId }>(
			`SELECT id FROM boxes RIGHT JOIN jsonb_array_elements_text($1::jsonb) AS said(id) USING (id)
			WHERE revoked_at IS NULL AND coalesce(readmitted_at < $2, true) ORDER BY id`,
			[JSON.stringify(revoked), issuedAt],
		);
		return rows.map(({ id }) => id);
	}

	/** All boxes that are shut out. */
	shutOut(): Promise<BoxId[]> {
		return shutOutIn(this.database);
	}

	/** Those of them that the region and the broker have to know of, for others have no lease any more that anybody believes. */
	async revoked(): Promise<BoxId[]> {
		const boxes = await revokedIn(this.database, this.now());
		if (boxes.length === MOST_REVOKED)
			this.log.error(
				{ boxes: boxes.length },
				"so many boxes were shut out lately that the region is not told of more",
			);
		return boxes;
	}

	/** Writes the rest. The database is its owner's to close. */
	async close(): Promise<void> {
		this.closed = true;
		this.listeners.clear();
		await this.flush();
	}

	private later(): void {
		if (this.closed) return;
		this.timer ??= setTimeout(() => {
			this.flush().catch((error: unknown) => {
				this.log.error({}, `reports were lost: ${describe(error)}`);
			});
		}, GATHERING).unref();
	}

	private async write(): Promise<void> {
		const { states, reports, fills } = this.pending;
		const boxes = new Set([
			...states.keys(),
			...reports.keys(),
			...fills.keys(),
		]);
		if (boxes.size === 0) return;
		this.pending = gather();
		const now = this.now();
		const strangers = new Set<BoxId>();
		const fresh: Issued[] = [];
		for (const box of boxes) {
			if (this.known.has(box)) continue;
			const issued = await this.issued(box);
			if (issued === undefined) strangers.add(box);
			else fresh.push(issued);
		}
		const ours = <T>(said: Map<BoxId, T>) =>
			[...said].filter(([box]) => !strangers.has(box));
		await this.database.transaction(async (statements) => {
			await addBoxes(statements, fresh, now);
			await writeStates(statements, ours(states), now);
			await writeReports(statements, ours(reports), now);
			await writeFills(statements, ours(fills), now);
		});
		for (const { box } of fresh) this.known.add(box);
		if (strangers.size > 0)
			this.log.warn(
				{ boxes: strangers.size },
				"reports of boxes that were never issued here were dropped",
			);
		this.tell([...boxes].filter((box) => !strangers.has(box)));
	}

	private tell(boxes: readonly BoxId[]): void {
		if (boxes.length === 0) return;
		for (const listener of this.listeners) listener({ boxes });
	}
}

function gather() {
	return {
		states: new Map<BoxId, State>(),
		reports: new Map<BoxId, Reported>(),
		fills: new Map<BoxId, Fill>(),
	};
}
