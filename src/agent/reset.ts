import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { lockFolder } from "../store/lock.ts";
import type { Config } from "./config.ts";

/** All that an agent keeps in its data folder. What else lies there is not ours. */
const KEPT = [
	"shards",
	"keys",
	"holders",
	"control",
	"catalog",
	"known-nodes.json",
] as const;

/**
 * Puts a box back to where it was when it was let in: shards, title keys and all that tells of its past are gone, its
 * identity stays. Gives the names of what was removed. Throws BOX_BUSY while the agent runs, STORE_UNUSABLE.
 */
export async function resetBox({
	data,
}: Pick<Config, "data">): Promise<string[]> {
	if (!existsSync(data)) return [];
	const lock = await lockFolder(data, "BOX_BUSY");
	const removed: string[] = [];
	try {
		for (const name of KEPT) {
			const path = join(data, name);
			if (!existsSync(path)) continue;
			await rm(path, { recursive: true });
			removed.push(name);
		}
	} catch (cause) {
		throw new LarderError("STORE_UNUSABLE", `${data} cannot be emptied`, {
			cause,
		});
	} finally {
		await lock.close();
	}
	return removed;
}
