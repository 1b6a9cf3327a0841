import { createHash } from "node:crypto";
import type { Millis } from "../../base/units.ts";
import { holdersOf, tableOf } from "../../plan/assignment.ts";
import type { Assignment } from "../../plan/placement.ts";
import type { BoxId, Region, TitleId } from "../../wire/ids.ts";
import type { HolderTable } from "../../wire/placement.ts";
import type { Database, Statements } from "./database.ts";

/** Rows that are written with one statement: some megabytes of JSON. */
const BATCH = 50;
/** A box that is not shut out. */
const WELCOME =
	"NOT EXISTS (SELECT 1 FROM boxes WHERE id = box AND revoked_at IS NOT NULL)";

/** Titles that are not taken back. Those keep their tables while they may be given back, so that then no shard moves. */
const SHELVED =
	"title NOT IN (SELECT title FROM purges WHERE countermanded_at IS NULL)";

/** What a box was told last. */
export interface Told {
	readonly box: BoxId;
	readonly epoch: number;
	readonly rev: number;
	/** Of the body, so that the same wish is not told twice. */
	readonly sha256: string;
	readonly envelope: Buffer;
	/** Of the key that signed it. */
	readonly keySerial: number;
}

/** Who is to hold one title, as it was last signed. */
export interface Table extends Pick<HolderTable, "boxes" | "shards"> {
	readonly title: TitleId;
	readonly epoch: number;
	readonly version: number;
	readonly envelope: Buffer;
	/** Of the key that signed it. */
	readonly keySerial: number;
}

/** What a box is told, as it was signed. */
type Desired = readonly [box: BoxId, envelope: Buffer];

/** Rows as the database has them: bytes in an array. */
type Row<T extends { readonly envelope: Buffer }> = Omit<T, "envelope"> & {
	readonly envelope: Uint8Array;
};

const TABLE = `title, epoch, version, boxes, shards, envelope, key_serial AS "keySerial"`;
const TOLD = `box, epoch, rev, body_sha256 AS sha256, key_serial AS "keySerial"`;

/** The last plan as it is kept: holder tables of one region and the placements told to its boxes. */
export class Wishes {
	private readonly database: Database;
	private readonly region: Region;

	constructor(database: Database, region: Region) {
		this.database = database;
		this.region = region;
	}

	async tables(): Promise<ReadonlyMap<TitleId, Table>> {
		const { rows } = await this.database.query<Row<Table>>(
			`SELECT ${TABLE} FROM holders WHERE region = $1 AND ${SHELVED}`,
			[this.region],
		);
		return new Map(rows.map((row) => [row.title, whole<Table>(row)]));
	}

	/** By box, without the envelopes. Nothing is told to those that are shut out. */
	async told(): Promise<ReadonlyMap<BoxId, Omit<Told, "envelope">>> {
		const { rows } = await this.database.query<Omit<Told, "envelope">>(
			`SELECT ${TOLD} FROM placements WHERE ${WELCOME}`,
		);
		return new Map(rows.map((row) => [row.box, row]));
	}

	/** Some of the tables of this epoch that were signed by earlier keys than this one. */
	async oldTables(epoch: number, keySerial: number): Promise<Table[]> {
		const { rows } = await this.database.query<Row<Table>>(
			`SELECT ${TABLE} FROM holders WHERE region = $1 AND epoch = $2 AND key_serial < $3 AND ${SHELVED} ORDER BY title LIMIT $4`,
			[this.region, epoch, keySerial, BATCH],
		);
		return rows.map((row) => whole<Table>(row));
	}

	/** Some of what boxes were told in this epoch, signed by earlier keys than this one. */
	async oldTold(epoch: number, keySerial: number): Promise<Told[]> {
		const { rows } = await this.database.query<Row<Told>>(
			`SELECT ${TOLD}, envelope FROM placements WHERE epoch = $1 AND key_serial < $2 AND ${WELCOME} ORDER BY box LIMIT $3`,
			[epoch, keySerial, BATCH],
		);
		return rows.map((row) => whole<Told>(row));
	}

	/** How much is in force, of this epoch or another, that was signed by earlier keys than this one. */
	async countOld(keySerial: number): Promise<number> {
		const { rows } = await this.database.query<{ old: number }>(
			`SELECT ((SELECT count(*) FROM holders WHERE key_serial < $1 AND ${SHELVED})
				+ (SELECT count(*) FROM placements WHERE key_serial < $1 AND ${WELCOME}))::integer AS old`,
			[keySerial],
		);
		return rows[0]?.old ?? 0;
	}

	/** What boxes were told in this epoch, one after the other: there may be thousands. */
	async *envelopes(epoch: number): AsyncGenerator<Desired> {
		for (let after = ""; ; ) {
			const some = await this.someEnvelopes(epoch, after);
			yield* some;
			const last = some.at(-1);
			if (last === undefined) return;
			[after] = last;
		}
	}

	/** Of those, some of the boxes whose ids follow. */
	async someEnvelopes(epoch: number, after: string): Promise<Desired[]> {
		const { rows } = await this.database.query<
			Row<Pick<Told, "box" | "envelope">>
		>(
			`SELECT box, envelope FROM placements WHERE epoch = $1 AND box > $2 AND ${WELCOME} ORDER BY box LIMIT $3`,
			[epoch, after, BATCH],
		);
		return rows.map(({ box, envelope }) => [box, Buffer.from(envelope)]);
	}

	/** Keeps a new plan, all of it or nothing. Titles that are not in `titles` are forgotten, unless they may be given back. */
	async keep(
		titles: Iterable<TitleId>,
		tables: readonly Table[],
		told: readonly Told[],
		now: Millis,
	): Promise<void> {
		await this.database.transaction(async (statements) => {
			await statements.query(
				`DELETE FROM holders WHERE region = $1 AND title NOT IN (SELECT jsonb_array_elements_text($2::jsonb))
				AND title NOT IN (SELECT title FROM purges WHERE countermanded_at IS NULL AND removed_at IS NULL)`,
				[this.region, JSON.stringify([...titles])],
			);
			await write(statements, this.region, tables, told, now);
		});
	}

	/** Keeps what says the same as before and was signed anew, all of it or nothing. */
	async renew(
		tables: readonly Table[],
		told: readonly Told[],
		now: Millis,
	): Promise<void> {
		await this.database.transaction((statements) =>
			write(statements, this.region, tables, told, now),
		);
	}
}

async function write(
	statements: Statements,
	region: Region,
	tables: readonly Table[],
	told: readonly Told[],
	now: Millis,
): Promise<void> {
	for (const some of inBatches(tables.map(tableRow))) {
		await statements.query(
			`INSERT INTO holders (region, title, epoch, version, boxes, shards, fewest, copies, envelope, key_serial)
			SELECT $2, title, epoch, version, boxes, shards, fewest, copies, decode(envelope, 'base64'), "keySerial"
			FROM jsonb_to_recordset($1::jsonb) AS r(title text, epoch bigint, version bigint, boxes jsonb, shards jsonb,
				fewest integer, copies integer, envelope text, "keySerial" bigint)
			ON CONFLICT (region, title) DO UPDATE SET epoch = excluded.epoch, version = excluded.version, boxes = excluded.boxes,
				shards = excluded.shards, fewest = excluded.fewest, copies = excluded.copies, envelope = excluded.envelope,
				key_serial = excluded.key_serial`,
			[JSON.stringify(some), region],
		);
	}
	for (const some of inBatches(told.map(toldRow))) {
		await statements.query(
			`INSERT INTO placements (box, epoch, rev, body_sha256, envelope, made_at, key_serial)
			SELECT box, epoch, rev, sha256, decode(envelope, 'base64'), $2, "keySerial"
			FROM jsonb_to_recordset($1::jsonb) AS r(box text, epoch bigint, rev bigint, sha256 text, envelope text, "keySerial" bigint)
			ON CONFLICT (box) DO UPDATE SET epoch = excluded.epoch, rev = excluded.rev, body_sha256 = excluded.body_sha256,
				envelope = excluded.envelope, made_at = excluded.made_at, key_serial = excluded.key_serial`,
			[JSON.stringify(some), now],
		);
	}
}

function whole<T extends { readonly envelope: Buffer }>(row: Row<T>) {
	return { ...row, envelope: Buffer.from(row.envelope) };
}

function tableRow(table: Table) {
	const copies = table.shards.map((row) => row.length);
	return {
		...table,
		fewest: copies.reduce((a, b) => Math.min(a, b), copies[0] ?? 0),
		copies: copies.reduce((a, b) => a + b, 0),
		envelope: table.envelope.toString("base64"),
	};
}

function toldRow(told: Told) {
	return { ...told, envelope: told.envelope.toString("base64") };
}

function* inBatches<T>(rows: readonly T[]): Generator<readonly T[]> {
	for (let at = 0; at < rows.length; at += BATCH)
		yield rows.slice(at, at + BATCH);
}

/** The plan that the tables were made from. */
export function assignmentOf(
	tables: ReadonlyMap<TitleId, Pick<Table, "boxes" | "shards">>,
): Assignment {
	return new Map(
		[...tables].map(([title, table]) => [title, holdersOf(table)]),
	);
}

/** Whether a table says the same as these holders. */
export function says(
	table: Pick<Table, "boxes" | "shards">,
	holders: readonly (readonly BoxId[])[],
): boolean {
	const { boxes, shards } = tableOf(holders);
	return (
		table.boxes.join() === boxes.join() &&
		JSON.stringify(table.shards) === JSON.stringify(shards)
	);
}

export function sha256(bytes: Uint8Array): string {
	return createHash("sha256").update(bytes).digest("hex");
}
