import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { systemCode } from "../base/errors.ts";
import { openDatabase } from "../headend/fleet/database.ts";
import { migrations } from "../headend/fleet/migrations.ts";

const MADE = join(import.meta.dirname, "..", "..", "dist", "desk");

/**
 * Puts an empty database where a headend that starts for the first time would make its own: making one takes seconds of
 * computing, copying one a moment, and a desk has many headends that are new.
 * @param dir where it is to be; one that is there stays
 */
export async function blankDatabase(dir: string): Promise<void> {
	if (existsSync(dir)) return;
	const kind = createHash("sha256")
		.update(pkg.dependencies["@electric-sql/pglite"])
		.update(JSON.stringify(migrations))
		.digest("hex");
	const blank = join(MADE, `database-${kind.slice(0, 16)}`);
	try {
		await copy(blank, dir);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
		await make(blank);
		await copy(blank, dir);
	}
}

async function copy(from: string, to: string): Promise<void> {
	await mkdir(dirname(to), { recursive: true });
	await cp(from, to, { recursive: true });
}

/** Whole or not at all, however many do it at once. */
async function make(blank: string): Promise<void> {
	await mkdir(MADE, { recursive: true });
	const draft = await mkdtemp(join(MADE, "draft-"));
	try {
		const database = await openDatabase(join(draft, "db"));
		await database.close();
		await rename(join(draft, "db"), blank);
	} catch (error) {
		// Another was quicker.
		if (!["ENOTEMPTY", "EEXIST"].includes(systemCode(error) ?? "")) throw error;
	} finally {
		await rm(draft, { recursive: true, force: true });
	}
}
