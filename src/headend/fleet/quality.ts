import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, DAY, HOUR, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { bucketsOf, START_BOUNDS } from "../../plan/histogram.ts";
import type { Figures } from "../../plan/session.ts";
import type { Region, TitleId } from "../../wire/ids.ts";
import { LEVELS, type Level } from "../../wire/near.ts";
import { MISSES, type Quality, type Watched } from "../../wire/quality.ts";
import type { Database, Statements } from "./database.ts";

/** What is heard is gathered this long and written together. */
const GATHERING: Millis = SECOND;
/** What is older is forgotten. */
export const KEPT: Millis = 30 * DAY;
/** Ids of entries that are known: what a broker brings twice comes soon after. */
const KNOWN = 8192;

export interface QualitiesOptions {
	readonly database: Database;
	readonly region: Region;
	/** Whether it is a title that players may be shown. */
	readonly isTitle: (title: TitleId) => boolean;
	/** Called with each entry that counts. */
	readonly onEntry: (figures: Figures) => void;
	readonly log: Log;
	readonly now?: Clock;
}

/** Sums by name; those that are there are added to. */
export type Sums = Readonly<Record<string, number>>;

/**
 * How titles were to watch, summed up by title, region and hour. Whose evening it was is in no report, and the hour is that in which
 * it was heard. Invariant: what was noted is in the database or in `pending`; one write runs at a time.
 */
export class Qualities {
	private readonly options: QualitiesOptions;
	private readonly now: Clock;
	private readonly listeners = new Set<() => void>();
	/** Oldest first. */
	private readonly known = new Set<string>();
	private pending = new Map<TitleId, Sums>();
	private timer: NodeJS.Timeout | undefined;
	private writing: Promise<void> = Promise.resolve();
	private cleanedAt: Millis = 0;
	private closed = false;

	constructor(options: QualitiesOptions) {
		this.options = options;
		this.now = options.now ?? Date.now;
	}

	/** What some box of the region says. Of what is no title, and what was said before, nothing is taken. */
	note({ watched }: Quality): void {
		for (const entry of watched) {
			if (!this.options.isTitle(entry.title) || this.isKnown(entry.id))
				continue;
			const { id, title, ...figures } = entry;
			this.options.onEntry(figures);
			const before = this.pending.get(title) ?? {};
			this.pending.set(title, plus(before, sumsOf(figures)));
			this.later();
		}
	}

	/** Called when something was written. The function given back ends it. */
	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/** Writes what is noted and not yet written. Rejects when the database does. */
	flush(): Promise<void> {
		clearTimeout(this.timer);
		this.timer = undefined;
		const write = this.writing.then(() => this.write());
		this.writing = write.catch(() => undefined);
		return write;
	}

	async close(): Promise<void> {
		this.closed = true;
		this.listeners.clear();
		await this.flush();
	}

	private isKnown(id: string): boolean {
		if (this.known.has(id)) return true;
		this.known.add(id);
		for (const oldest of this.known) {
			if (this.known.size <= KNOWN) break;
			this.known.delete(oldest);
		}
		return false;
	}

	private later(): void {
		if (this.closed) return;
		this.timer ??= setTimeout(() => {
			this.flush().catch((error: unknown) => {
				this.options.log.error({}, `figures were lost: ${describe(error)}`);
			});
		}, GATHERING).unref();
	}

	private async write(): Promise<void> {
		const { pending } = this;
		if (pending.size === 0) return;
		this.pending = new Map();
		const now = this.now();
		const hour = Math.floor(now / HOUR);
		const { database, region } = this.options;
		await database.transaction(async (statements) => {
			const before = await sumsAt(statements, region, hour);
			const rows = [...pending].map(([title, sums]) => ({
				title,
				sums: plus(before.get(title) ?? {}, sums),
			}));
			await statements.query(
				`INSERT INTO quality (region, hour, title, sums)
				SELECT $2, $3, title, sums FROM jsonb_to_recordset($1::jsonb) AS r(title text, sums jsonb)
				ON CONFLICT (region, hour, title) DO UPDATE SET sums = excluded.sums`,
				[JSON.stringify(rows), region, hour],
			);
			if (now - this.cleanedAt < HOUR) return;
			this.cleanedAt = now;
			await statements.query("DELETE FROM quality WHERE hour < $1", [
				Math.floor((now - KEPT) / HOUR),
			]);
		});
		for (const listener of this.listeners) listener();
	}
}

async function sumsAt(
	statements: Statements,
	region: Region,
	hour: number,
): Promise<Map<TitleId, Sums>> {
	const { rows } = await statements.query<{ title: TitleId; sums: Sums }>(
		"SELECT title, sums FROM quality WHERE region = $1 AND hour = $2",
		[region, hour],
	);
	return new Map(rows.map(({ title, sums }) => [title, sums]));
}

/** The names under which sums are kept: start-ups by bucket, blocks that were missed by cause, bytes by level, and bits for the average bitrate. */
export const startName = (bucket: number) => `start-${bucket}`;
export const missName = (cause: keyof Watched["misses"]) => `miss-${cause}`;
export const nearName = (level: Level) => `near-${level}`;

function sumsOf({ starts, bitrate, misses, near = [], ...plain }: Figures) {
	const seconds = starts.map((start) => start / SECOND);
	const named = [
		...bucketsOf(seconds, START_BOUNDS).map(
			(count, i) => [startName(i), count] as const,
		),
		...MISSES.map((cause) => [missName(cause), misses[cause] ?? 0] as const),
		...near
			.slice(0, LEVELS)
			.map((bytes, level) => [nearName(level), bytes] as const),
		["bits", Math.round((bitrate * plain.played) / SECOND)] as const,
		...Object.entries(plain),
	];
	return Object.fromEntries(named.filter(([, value]) => value > 0));
}

/** However much boxes make up, it leads no further than a number goes. */
function plus(a: Sums, b: Sums): Sums {
	const sum: Record<string, number> = { ...a };
	for (const [name, value] of Object.entries(b))
		sum[name] = Math.min((sum[name] ?? 0) + value, Number.MAX_SAFE_INTEGER);
	return sum;
}
