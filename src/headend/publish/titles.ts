import { readdir } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { NONCE_SIZE } from "../../content/cipher.ts";
import type { Geometry } from "../../content/geometry.ts";
import { type CatalogEntry, catalogEntry } from "../../wire/catalog.ts";
import { envelope } from "../../wire/envelope.ts";
import { hex32, instant, isTitleId, type TitleId } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import { release } from "../../wire/release.ts";
import { readIfThere, SECRET, writeWhole } from "../operator/file.ts";

const part = z.number().check(z.int(), z.positive());

/** What the headend knows of one published title: all of its catalog entry, how it is cut, and the key that opens it. */
export const titleRecord = z.object({
	...catalogEntry.shape,
	/** As in the manifest, which may lie elsewhere: plans are made without the origin. */
	blockSize: part,
	shardBlocks: part,
	/** 32 bytes. */
	key: hex32,
	nonce: z.string().check(z.length(2 * NONCE_SIZE), z.regex(/^[0-9a-f]+$/)),
	publishedAt: instant,
	source: z.object({
		/** Where it was published from. */
		path: z.string(),
		/** Of all files' paths, sizes and times: tells whether the source is still the one that was published. */
		fingerprint: hex32,
	}),
	/** With kind `release`: the operator's word for it, as it is signed and as it reads. */
	release: z.optional(z.object({ statement: envelope, said: release })),
});
export type TitleRecord = z.output<typeof titleRecord>;

export interface TitleList {
	/** Oldest first. */
	readonly titles: readonly TitleRecord[];
	/** Records that cannot be read, for a person to look at. */
	readonly damaged: readonly DamagedRecord[];
}

export interface DamagedRecord {
	readonly id: TitleId;
	readonly path: string;
	readonly why: string;
}

/** The folder of the title records: one `<title id>.json` each, readable by the operator only. */
export function titlesDir(operatorDir: string): string {
	return join(operatorDir, "titles");
}

/** Throws TITLE_UNKNOWN, or OPERATOR_INVALID when the record is damaged. */
export async function readTitle(
	operatorDir: string,
	id: TitleId,
): Promise<TitleRecord> {
	const path = recordPath(operatorDir, id);
	const record = await readRecord(path, id);
	if (record === undefined)
		throw new LarderError("TITLE_UNKNOWN", `no title ${id} was published here`);
	if ("why" in record)
		throw new LarderError("OPERATOR_INVALID", `${path}: ${record.why}`);
	return record;
}

/** All titles that were published here. */
export async function listTitles(operatorDir: string): Promise<TitleList> {
	const titles: TitleRecord[] = [];
	const damaged: DamagedRecord[] = [];
	for (const name of await readdir(titlesDir(operatorDir))) {
		const id = name.replace(/\.json$/, "");
		if (!isTitleId(id) || id === name) continue;
		const path = recordPath(operatorDir, id);
		const record = await readRecord(path, id);
		if (record === undefined) continue;
		if ("why" in record) damaged.push({ id, path, why: record.why });
		else titles.push(record);
	}
	titles.sort((a, b) => a.publishedAt - b.publishedAt || a.version - b.version);
	return { titles, damaged };
}

/** Puts a record there, whole or not at all: a watcher of the folder sees one `add` (or `change`) of the final name. */
export async function writeTitle(
	operatorDir: string,
	record: TitleRecord,
): Promise<void> {
	await writeWhole(
		recordPath(operatorDir, record.id),
		`${JSON.stringify(record, undefined, "\t")}\n`,
		SECRET,
	);
}

/** The part of a record that everybody may know. */
export function entryOf(record: TitleRecord): CatalogEntry {
	return catalogEntry.parse(record);
}

/** How a title's byte space is cut. */
export function geometryOf({
	size,
	blockSize,
	shardBlocks,
}: TitleRecord): Geometry {
	return { size, blockSize, shardBlocks };
}

function recordPath(operatorDir: string, id: TitleId): string {
	return join(titlesDir(operatorDir), `${id}.json`);
}

async function readRecord(
	path: string,
	id: TitleId,
): Promise<TitleRecord | { why: string } | undefined> {
	const bytes = await readIfThere(path);
	if (bytes === undefined) return undefined;
	const read = parseMessage(titleRecord, bytes);
	if (!read.ok) return { why: read.detail };
	return read.value.id === id
		? read.value
		: { why: `it is the record of ${read.value.id}` };
}
