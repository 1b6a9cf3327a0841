import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HolderBook, Neighbours, Origin } from "../act/ports.ts";
import { systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type Trust, unseal } from "../wire/envelope.ts";
import { isNewer, isTooFarAhead } from "../wire/head.ts";
import type { BoxId, Region, TitleId } from "../wire/ids.ts";
import { type HolderTable, holderTable } from "../wire/placement.ts";

/** A table is looked for again after so long; it is a hint that changes with the placement. */
const FRESH: Millis = 30 * SECOND;
/** One that was not found is, sooner: without it nobody knows whom to wait for. */
const MISSED: Millis = 2 * SECOND;
const PATIENCE: Millis = 5 * SECOND;
/** Tables kept in memory; one of a long film in a large region is some hundred kilobytes. */
const KNOWN = 64;

export interface HoldersOptions {
	readonly folder: string;
	readonly region: Region;
	readonly trust: Trust;
	readonly origin: Pick<Origin, "holders">;
	readonly neighbours: () => Pick<Neighbours, "holders" | "dial">;
	readonly log: Log;
}

interface Known {
	readonly table: HolderTable | undefined;
	/** When it was looked for last; undefined when it was only read from disk. */
	readonly at: Millis | undefined;
}

/**
 * Signed holder tables, from the origin or a neighbour, kept on disk and passed on to neighbours that ask.
 * Used to dial holders that are not connected. Invariant: what is kept or known was signed for this title and region.
 */
export class Holders implements HolderBook {
	private readonly options: HoldersOptions;
	/** Least recently used first. */
	private readonly known = new Map<TitleId, Known>();
	/** Tables being looked for, and the shards that wait for them. */
	private readonly finding = new Map<TitleId, Set<number>>();

	constructor(options: HoldersOptions) {
		this.options = options;
	}

	/** The table as it is signed, for a neighbour. */
	async bytes(id: TitleId): Promise<Buffer | undefined> {
		try {
			return await readFile(this.path(id));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			throw error;
		}
	}

	dial(id: TitleId, shard: number): void {
		const known = this.recall(id);
		if (known?.table !== undefined) this.dialFrom(known.table, shard);
		const { at, table } = known ?? {};
		const rest = table === undefined ? MISSED : FRESH;
		if (at !== undefined && monotonic() - at < rest) return;
		const waiting = this.finding.get(id);
		if (waiting !== undefined) waiting.add(shard);
		else void this.refresh(id, shard);
	}

	before(
		id: TitleId,
		shard: number,
		rank: number,
	): readonly BoxId[] | undefined {
		const table = this.recall(id)?.table;
		return table && boxesOf(table, shard).slice(0, rank);
	}

	/** The title is gone from this box. */
	async forget(id: TitleId): Promise<void> {
		this.known.delete(id);
		await rm(this.path(id), { force: true });
		// What a power cut left.
		await rm(`${this.path(id)}.part`, { force: true });
	}

	/** Never rejects. */
	private async refresh(id: TitleId, shard: number): Promise<void> {
		const waiting = new Set([shard]);
		this.finding.set(id, waiting);
		let newest: HolderTable | undefined;
		const learn = (table: HolderTable) => {
			newest = table;
			this.note(id, { table, at: undefined });
			for (const each of waiting) this.dialFrom(table, each);
		};
		// Disk first: it answers when everything else is down.
		const kept = await this.fromDisk(id);
		if (kept !== undefined) learn(kept);
		let keeping = Promise.resolve();
		const ask = async (source: Pick<Origin, "holders">) => {
			const bytes = await this.from(source, id);
			const table = bytes && this.read(id, bytes);
			if (bytes === undefined || table === undefined) return;
			if (newest !== undefined && !isNewer(table, newest)) return;
			learn(table);
			keeping = keeping.then(() => this.keep(id, bytes));
		};
		// Who waits for a holder does not wait for the slower of the two.
		const { origin, neighbours } = this.options;
		await Promise.all([origin, neighbours()].map(ask));
		await keeping;
		this.note(id, { table: newest, at: monotonic() });
		this.finding.delete(id);
	}

	private async fromDisk(id: TitleId): Promise<HolderTable | undefined> {
		try {
			const bytes = await this.bytes(id);
			return bytes && this.read(id, bytes);
		} catch (error) {
			const { log } = this.options;
			log.warn({ err: error }, "a holder table was not read");
			return undefined;
		}
	}

	private async from(
		source: Pick<Origin, "holders">,
		id: TitleId,
	): Promise<Buffer | undefined> {
		try {
			return await source.holders(id, AbortSignal.timeout(PATIENCE));
		} catch (error) {
			const { log } = this.options;
			log.debug({ err: error }, "no holder table here");
			return undefined;
		}
	}

	private read(id: TitleId, bytes: Buffer): HolderTable | undefined {
		const { region, trust, log } = this.options;
		const read = unseal(bytes, "placement", holderTable, trust);
		if (!read.ok) {
			log.warn(
				{ slug: read.reason, detail: read.detail },
				"holder table refused",
			);
			return undefined;
		}
		const table = read.value;
		const isMine =
			table.title === id &&
			table.region === region &&
			table.network === trust.network &&
			!isTooFarAhead({ version: table.version * SECOND }, trust);
		return isMine ? table : undefined;
	}

	/** A disk that takes nothing does not keep the table from being used. */
	private async keep(id: TitleId, bytes: Buffer): Promise<void> {
		const { folder, log } = this.options;
		const part = `${this.path(id)}.part`;
		try {
			await mkdir(folder, { recursive: true, mode: 0o700 });
			await writeFile(part, bytes, { mode: 0o600 });
			await rename(part, this.path(id));
		} catch (error) {
			log.warn({ err: error }, "a holder table was not kept");
		}
	}

	private dialFrom(table: HolderTable, shard: number): void {
		this.options.neighbours().dial(boxesOf(table, shard));
	}

	private recall(id: TitleId): Known | undefined {
		const known = this.known.get(id);
		if (known !== undefined) this.note(id, known);
		return known;
	}

	private note(id: TitleId, known: Known): void {
		this.known.delete(id);
		this.known.set(id, known);
		for (const oldest of this.known.keys()) {
			if (this.known.size <= KNOWN) break;
			this.known.delete(oldest);
		}
	}

	private path(id: TitleId): string {
		return join(this.options.folder, id);
	}
}

/** Rank 0 first. */
function boxesOf(table: HolderTable, shard: number): BoxId[] {
	return (table.shards[shard] ?? []).flatMap(
		(index) => table.boxes[index] ?? [],
	);
}
