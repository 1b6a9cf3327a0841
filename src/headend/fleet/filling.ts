import type { Region } from "../../wire/ids.ts";
import type { Database } from "./database.ts";

/** How many boxes of a region are there and lack some of what they are to hold. */
export async function fillingIn(
	database: Database,
	region: Region,
): Promise<number> {
	const { rows } = await database.query<{ boxes: number }>(
		`SELECT count(*)::integer AS boxes FROM boxes JOIN fills ON fills.box = id
		WHERE region = $1 AND online AND revoked_at IS NULL AND held < placed`,
		[region],
	);
	return rows[0]?.boxes ?? 0;
}
