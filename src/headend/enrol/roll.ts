import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, MINUTE } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type BoxId, isBoxId } from "../../wire/ids.ts";
import { type Issued, readIssued, writeIssued } from "../operator/issue.ts";

/** Files that are read at a time. */
const AT_ONCE = 64;
/** The folder is read anew after so long, whether it seems to have changed or not: with many boxes that costs a moment. */
const TRUSTED: Millis = 10 * MINUTE;

/**
 * The boxes on record by their serials, also those that `larder issue` adds meanwhile. One caller at a time.
 * Invariant: `names` are the boxes whose serials are in `serials`, and were all in the folder when it was changed at `changed`.
 */
export class Roll {
	private readonly folder: string;
	private readonly dir: string;
	private readonly now: Clock;
	private readonly names = new Set<string>();
	private readonly serials = new Map<string, BoxId[]>();
	private changed: bigint | undefined;
	private readAt: Millis = 0;

	/** @param dir the operator's folder */
	constructor(dir: string, now: Clock = Date.now) {
		this.dir = dir;
		this.folder = join(dir, "issued");
		this.now = now;
	}

	/** Undefined for one that was never issued here. */
	record(box: BoxId): Promise<Issued | undefined> {
		return readIssued(this.dir, box);
	}

	async add(record: Issued): Promise<void> {
		const before = await this.changedAt();
		await writeIssued({ dir: this.dir }, record);
		this.note(record);
		// That change was this one's own: the folder need not be read for it.
		if (before === this.changed) this.changed = await this.changedAt();
	}

	/** A box on record is given another lease. */
	async renewed(record: Issued): Promise<void> {
		await this.add({ ...record, renewedAt: this.now() });
	}

	/** All that were ever issued under a serial. */
	async boxesOf(serial: string): Promise<readonly BoxId[]> {
		await this.catchUp();
		return this.serials.get(serial) ?? [];
	}

	private async catchUp(): Promise<void> {
		// Before the names are read: what comes meanwhile is found the next time.
		const changed = await this.changedAt();
		const now = this.now();
		const age = Math.abs(now - this.readAt);
		if (changed === this.changed && age < TRUSTED) return;
		const fresh: BoxId[] = [];
		for (const file of await readdir(this.folder)) {
			const name = file.slice(0, -".json".length);
			if (!this.names.has(name) && isBoxId(name)) fresh.push(name);
		}
		for (let from = 0; from < fresh.length; from += AT_ONCE) {
			const some = fresh.slice(from, from + AT_ONCE);
			const records = await Promise.all(some.map((box) => this.record(box)));
			for (const record of records) if (record !== undefined) this.note(record);
		}
		this.changed = changed;
		this.readAt = now;
	}

	private async changedAt(): Promise<bigint> {
		return (await stat(this.folder, { bigint: true })).mtimeNs;
	}

	private note({ box, serial }: Issued): void {
		if (this.names.has(box)) return;
		this.names.add(box);
		const boxes = this.serials.get(serial);
		if (boxes === undefined) this.serials.set(serial, [box]);
		else boxes.push(box);
	}
}
