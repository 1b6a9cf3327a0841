import type { BoxId } from "../../wire/ids.ts";
import type { Statements } from "./database.ts";

/** All boxes that are shut out. */
export async function revokedIn(database: Statements): Promise<BoxId[]> {
	const { rows } = await database.query<{ id: BoxId }>(
		"SELECT id FROM boxes WHERE revoked_at IS NOT NULL ORDER BY id",
	);
	return rows.map(({ id }) => id);
}
