import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as z from "zod/mini";
import type { Log } from "../base/log.ts";
import { MINUTE } from "../base/time.ts";
import { type Bytes, MiB, type Millis } from "../base/units.ts";
import type { Geometry } from "../content/geometry.ts";
import { count, type TitleId, titleId } from "../wire/ids.ts";
import { encodeMessage, parseMessage } from "../wire/json.ts";
import { writeWhole } from "./files.ts";

/** Titles that come together are written down together. */
const GATHER: Millis = MINUTE;

/** Title, size, bytes of a block, blocks of a shard. */
const row = z.tuple([titleId, count, count, count]);
const file = z.object({ sum: z.string(), rows: z.array(row) });
type Row = z.output<typeof row>;
/** As for 500,000 titles. */
const MOST: Bytes = 64 * MiB;

export interface CutsOptions {
	readonly path: string;
	/** All titles that are here. */
	readonly all: () => Iterable<readonly [TitleId, Geometry]>;
	readonly log: Log;
}

/**
 * How the titles of a store are cut, in one small file: a start need not read thousands of manifests for it. How a title is cut
 * follows from its id, so that this may be lacking or gone, and is never out of date; a sum tells when the disk changed it.
 */
export class Cuts {
	private readonly options: CutsOptions;
	private timer: NodeJS.Timeout | undefined;
	private writing: Promise<void> = Promise.resolve();

	constructor(options: CutsOptions) {
		this.options = options;
	}

	/** As they were written down; none when that cannot be read or was changed. */
	async read(): Promise<ReadonlyMap<TitleId, Geometry>> {
		const { path } = this.options;
		const bytes = await readFile(path).catch(() => Buffer.alloc(0));
		const read = parseMessage(file, bytes, MOST);
		if (!read.ok) return new Map();
		const { sum, rows } = read.value;
		if (sumOf(rows) !== sum) return new Map();
		return new Map(
			rows.map(([id, size, blockSize, shardBlocks]) => [
				id,
				{ size, blockSize, shardBlocks },
			]),
		);
	}

	/** There is a title that was not written down yet. */
	changed(): void {
		this.timer ??= setTimeout(() => this.write(), GATHER).unref();
	}

	async close(): Promise<void> {
		if (this.timer !== undefined) this.write();
		await this.writing;
	}

	private write(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		this.writing = this.writing.then(() => this.save());
	}

	/** Never rejects: without it the next start takes longer, and that is all. */
	private async save(): Promise<void> {
		const { path, all, log } = this.options;
		const rows = Array.from(
			all(),
			([id, { size, blockSize, shardBlocks }]): Row => [
				id,
				size,
				blockSize,
				shardBlocks,
			],
		);
		const sum = sumOf(rows);
		try {
			await writeWhole(path, encodeMessage({ sum, rows }));
		} catch (error) {
			log.warn({ err: error }, "how titles are cut was not written down");
		}
	}
}

function sumOf(rows: readonly Row[]): string {
	return createHash("sha256").update(JSON.stringify(rows)).digest("hex");
}
