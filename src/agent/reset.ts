import { existsSync } from "node:fs";
import { lstat, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { lockFolder } from "../store/lock.ts";
import type { Config } from "./config.ts";

/** All that an agent keeps in its data folder, secrets first. What else lies there is not ours. */
const KEPT = [
	"keys",
	"control",
	"holders",
	"known-nodes.json",
	"catalog",
	"inbox",
	"shards",
] as const;
/** What the doctor leaves when the power goes. */
const PROBE = ".doctor-";
/** A file in the data folder, for as long as a reset is ordered and not over. */
const ORDER = "reset";

type Data = Pick<Config, "data">;

/**
 * Puts a box back to where it was when it was let in: shards, title keys and all that tells of its past are gone, its
 * identity stays. When that is cut short, the next start goes on. Gives the names of what was removed. Throws BOX_BUSY while
 * the agent runs, STORE_UNUSABLE.
 */
export async function resetBox({ data }: Data): Promise<string[]> {
	if (!existsSync(data)) return [];
	const lock = await lockFolder(data, "BOX_BUSY");
	try {
		await orderReset({ data });
		return await finishReset({ data });
	} finally {
		await lock.close();
	}
}

/** From now on the next start begins with a reset, whatever the power does. Throws STORE_UNUSABLE. */
export async function orderReset({ data }: Data): Promise<void> {
	await usable(data, async () => {
		await using file = await open(join(data, ORDER), "w", 0o600);
		await file.sync();
		await sync(data);
	});
}

/** It was not meant. Throws STORE_UNUSABLE. */
export async function callOffReset({ data }: Data): Promise<void> {
	await usable(data, () => rm(join(data, ORDER), { force: true }));
}

/** Whether the next start begins with a reset. */
export function isResetOrdered({ data }: Data): boolean {
	return existsSync(join(data, ORDER));
}

/**
 * Does what was ordered and is not done yet; gives the names of what was removed. To be called by who has the folder's lock.
 * Throws STORE_UNUSABLE.
 */
export async function finishReset({ data }: Data): Promise<string[]> {
	if (!isResetOrdered({ data })) return [];
	return await usable(data, async () => {
		const there = await readdir(data);
		const probes = there.filter((name) => name.startsWith(PROBE));
		const own = await stat(data);
		const going: string[] = [];
		for (const name of KEPT.filter((name) => there.includes(name))) {
			// A stick that is mounted there is its owner's.
			const { dev } = await lstat(join(data, name));
			if (dev === own.dev) going.push(name);
		}
		for (const name of [...going, ...probes])
			await rm(join(data, name), { recursive: true });
		// Only when all of it is surely gone is the order.
		await sync(data);
		await rm(join(data, ORDER));
		return going;
	});
}

async function usable<T>(data: string, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (cause) {
		throw new LarderError("STORE_UNUSABLE", `${data} cannot be emptied`, {
			cause,
		});
	}
}

async function sync(folder: string): Promise<void> {
	await using entry = await open(folder, "r");
	await entry.sync();
}
