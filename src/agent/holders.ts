import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Neighbours, Origin } from "../act/ports.ts";
import { systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type Trust, unseal } from "../wire/envelope.ts";
import { type BoxId, type Region, short, type TitleId } from "../wire/ids.ts";
import { type HolderTable, holderTable } from "../wire/placement.ts";

/** A table is looked for again after so long; it is a hint that changes with the placement. */
const FRESH: Millis = 30 * SECOND;
const PATIENCE: Millis = 5 * SECOND;

interface Known {
	readonly table: HolderTable | undefined;
	readonly at: Millis;
}

/**
 * Signed holder tables, from the origin or a neighbour, kept on disk and passed on to neighbours that ask.
 * Used to dial holders that are not connected.
 */
export class Holders {
	private readonly folder: string;
	private readonly region: Region;
	private readonly trust: Trust;
	private readonly origin: Origin;
	private readonly neighbours: () => Neighbours;
	private readonly log: Log;
	private readonly known = new Map<TitleId, Known>();
	private readonly finding = new Set<TitleId>();

	constructor(options: {
		readonly folder: string;
		readonly region: Region;
		readonly trust: Trust;
		readonly origin: Origin;
		readonly neighbours: () => Neighbours;
		readonly log: Log;
	}) {
		this.folder = options.folder;
		this.region = options.region;
		this.trust = options.trust;
		this.origin = options.origin;
		this.neighbours = options.neighbours;
		this.log = options.log;
	}

	/** The table as it is signed, for a neighbour. */
	async bytes(id: TitleId): Promise<Buffer | undefined> {
		try {
			return await readFile(join(this.folder, id));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			throw error;
		}
	}

	/** Dials the boxes that should hold a shard, as far as they are known; looks for a newer table in the background. */
	dial(id: TitleId, shard: number): void {
		const known = this.known.get(id);
		if (known === undefined || Date.now() - known.at > FRESH) {
			this.refresh(id, shard);
		}
		if (known?.table !== undefined) this.dialFrom(known.table, shard);
	}

	private dialFrom(table: HolderTable, shard: number): void {
		const boxes = (table.shards[shard] ?? [])
			.map((index) => table.boxes[index])
			.filter((box): box is BoxId => box !== undefined);
		this.neighbours().dial(boxes);
	}

	private refresh(id: TitleId, shard: number): void {
		if (this.finding.has(id)) return;
		this.finding.add(id);
		this.find(id)
			.then(
				(table) => {
					this.known.set(id, { table, at: Date.now() });
					if (table !== undefined) this.dialFrom(table, shard);
				},
				(error: unknown) => {
					this.log.warn({ err: error, title: short(id) }, "no holder table");
				},
			)
			.finally(() => this.finding.delete(id));
	}

	/** The newest of what disk, neighbours and origin have. Disk first: it answers when everything else is down. */
	private async find(id: TitleId): Promise<HolderTable | undefined> {
		const kept = await this.bytes(id);
		let newest = kept && this.read(id, kept);
		if (newest !== undefined && !this.known.has(id)) {
			this.known.set(id, { table: newest, at: 0 });
			this.dialFrom(newest, 0);
		}
		for (const source of [this.origin, this.neighbours()]) {
			const found = await this.from(source, id);
			const table = found && this.read(id, found);
			if (found === undefined || table === undefined) continue;
			if (newest === undefined || isNewer(table, newest)) {
				newest = table;
				await this.keep(id, found);
			}
			break;
		}
		return newest;
	}

	private async from(
		source: Pick<Origin, "holders">,
		id: TitleId,
	): Promise<Buffer | undefined> {
		try {
			return await source.holders(id, AbortSignal.timeout(PATIENCE));
		} catch (error) {
			this.log.debug({ err: error, title: short(id) }, "no holder table here");
			return undefined;
		}
	}

	private read(id: TitleId, bytes: Buffer): HolderTable | undefined {
		const read = unseal(bytes, "placement", holderTable, this.trust);
		if (!read.ok) {
			this.log.warn(
				{ title: short(id), slug: read.reason, detail: read.detail },
				"holder table refused",
			);
			return undefined;
		}
		const { title, region, network } = read.value;
		const mine =
			title === id && region === this.region && network === this.trust.network;
		return mine ? read.value : undefined;
	}

	private async keep(id: TitleId, bytes: Buffer): Promise<void> {
		await mkdir(this.folder, { recursive: true, mode: 0o700 });
		await writeFile(join(this.folder, `${id}.part`), bytes, { mode: 0o600 });
		await rename(join(this.folder, `${id}.part`), join(this.folder, id));
	}
}

function isNewer(a: HolderTable, b: HolderTable): boolean {
	return a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);
}
