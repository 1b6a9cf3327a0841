import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import type { BoxId, Region } from "../../wire/ids.ts";
import { type Groups, LEVELS } from "../../wire/near.ts";
import type { Database, Statements } from "./database.ts";

/** What an operator calls a group, at one level of the access tree. */
export const groupName = z
	.string()
	.check(
		z.regex(
			/^[^\p{C}\p{Z},;"](?:[^\p{C}\p{Zl}\p{Zp},;"]{0,62}[^\p{C}\p{Z},;"])?$/u,
			"must be 1 to 64 characters without comma, semicolon and quotation mark",
		),
	);

/** Where a receiver is: the names of its groups, nearest level first. None takes it out of all. */
export const place = z.object({
	serial: z.string().check(z.minLength(1), z.maxLength(64)),
	levels: z.array(groupName).check(z.maxLength(LEVELS)),
});
export type Place = z.output<typeof place>;

/** Keeps where receivers are; of those that are not named nothing changes. */
export async function putPlaces(
	database: Database,
	places: readonly Place[],
): Promise<void> {
	const said = new Map(places.map(({ serial, levels }) => [serial, levels]));
	const named = new Map<string, { level: number; name: string; id: string }>();
	for (const levels of said.values())
		for (const [level, name] of levels.entries()) {
			const id = randomBytes(16).toString("hex");
			named.set(`${level} ${name}`, { level, name, id });
		}
	const rows = [...said].map(([serial, levels]) => ({ serial, levels }));
	await database.transaction(async (statements) => {
		await statements.query(
			`INSERT INTO groups (level, name, id)
			SELECT level, name, id FROM jsonb_to_recordset($1::jsonb) AS r(level integer, name text, id text)
			ON CONFLICT (level, name) DO NOTHING`,
			[JSON.stringify([...named.values()])],
		);
		await statements.query(
			`INSERT INTO places (serial, levels)
			SELECT serial, levels FROM jsonb_to_recordset($1::jsonb) AS r(serial text, levels jsonb)
			ON CONFLICT (serial) DO UPDATE SET levels = excluded.levels`,
			[JSON.stringify(rows)],
		);
		await statements.query("DELETE FROM places WHERE levels = '[]'");
	});
}

/** The groups of each box of a region that is in any and not shut out. */
export async function groupsOf(
	db: Statements,
	region: Region,
): Promise<ReadonlyMap<BoxId, Groups>> {
	const { rows } = await db.query<{ box: BoxId; near: string[] }>(
		`SELECT boxes.id AS box, jsonb_agg(groups.id ORDER BY level) AS near
		FROM boxes JOIN places ON places.serial = boxes.serial
			CROSS JOIN jsonb_array_elements_text(levels) WITH ORDINALITY AS named(name, place)
			JOIN groups ON groups.level = named.place - 1 AND groups.name = named.name
		WHERE region = $1 AND revoked_at IS NULL GROUP BY boxes.id`,
		[region],
	);
	return new Map(rows.map(({ box, near }) => [box, near]));
}
