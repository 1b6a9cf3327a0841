import { join } from "node:path";
import type { Database } from "../headend/fleet/database.ts";
import { lockOperator } from "../headend/operator/lock.ts";

/** Looks into the fleet database of an operator for which no headend runs. Throws OPERATOR_BUSY when one does, or OPERATOR_INVALID. */
export async function lookInto<T>(
	dir: string,
	look: (database: Database) => Promise<T>,
): Promise<T> {
	const lock = await lockOperator(dir);
	try {
		const { openDatabase } = await import("../headend/fleet/database.ts");
		const database = await openDatabase(join(dir, "db"));
		try {
			return await look(database);
		} finally {
			await database.close();
		}
	} finally {
		await lock.close();
	}
}
