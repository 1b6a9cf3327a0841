import { mkdir } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import { LarderError } from "../../base/errors.ts";
import { migrations } from "./migrations.ts";

/** What statements run on. They are plain PostgreSQL. */
export interface Statements {
	query<Row>(
		sql: string,
		values?: unknown[],
	): Promise<{ readonly rows: Row[] }>;
}

/** The headend's database. Only the process that holds the operator's lock may open it. */
export interface Database extends Statements {
	/** All of `work` is kept or none of it. */
	transaction<T>(work: (statements: Statements) => Promise<T>): Promise<T>;
	/** A consistent copy of the whole database as a gzipped tar, while it is in use. */
	dump(): Promise<Buffer>;
	close(): Promise<void>;
}

/**
 * Opens the database in a folder, made or brought up to date as needed. Throws OPERATOR_INVALID when it is damaged or newer than this program.
 * @param dump what `dump` gave, to start from; the folder must then be empty
 */
export async function openDatabase(
	dir: string,
	dump?: Uint8Array<ArrayBuffer>,
): Promise<Database> {
	await mkdir(dir, { recursive: true, mode: 0o700 });
	let database: PGlite | undefined;
	try {
		database = await PGlite.create(dir, {
			...(dump && {
				loadDataDir: new Blob([dump], { type: "application/x-gzip" }),
			}),
		});
		await migrate(database);
	} catch (cause) {
		await database?.close().catch(() => undefined);
		if (cause instanceof LarderError) throw cause;
		throw new LarderError(
			"OPERATOR_INVALID",
			`the database in ${dir} cannot be opened; without that folder the headend starts an empty one that boxes fill again`,
			{ cause },
		);
	}
	return over(database);
}

function over(database: PGlite): Database {
	return {
		query: (sql, values) => database.query(sql, values),
		transaction: (work) =>
			database.transaction((inside) =>
				work({ query: (sql, values) => inside.query(sql, values) }),
			),
		dump: async () =>
			Buffer.from(await (await database.dumpDataDir("gzip")).arrayBuffer()),
		close: () => database.close(),
	};
}

async function migrate(database: PGlite): Promise<void> {
	await database.exec(
		"CREATE TABLE IF NOT EXISTS schema (version integer NOT NULL)",
	);
	const { rows } = await database.query<{ version: number }>(
		"SELECT version FROM schema",
	);
	const version = rows[0]?.version ?? 0;
	if (version > migrations.length) {
		throw new LarderError(
			"OPERATOR_INVALID",
			`the database is of version ${version}, this program knows ${migrations.length}: run the newer one`,
		);
	}
	for (const [index, sql] of migrations.entries()) {
		if (index < version) continue;
		await database.transaction(async (inside) => {
			await inside.exec(sql);
			await inside.exec("DELETE FROM schema");
			await inside.query("INSERT INTO schema VALUES ($1)", [index + 1]);
		});
	}
}
