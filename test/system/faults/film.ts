import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SECOND } from "../../../src/base/time.ts";
import type { Millis, Rate } from "../../../src/base/units.ts";
import { HLS } from "../../headend/packages.ts";

/** As `HLS.media` says. */
const SEGMENT: Millis = 2 * SECOND;

/**
 * HLS of one rendition. What is in its segments is noise: a player that keeps time decodes nothing.
 * @param rate bytes a second
 */
export async function writeFilm(
	folder: string,
	length: Millis,
	rate: Rate,
): Promise<void> {
	await mkdir(join(folder, "v"), { recursive: true });
	const count = Math.ceil(length / SEGMENT);
	const names = Array.from({ length: count }, (_, i) => `${i}.ts`);
	const bytes = Math.round((rate * SEGMENT) / SECOND);
	for (const name of names)
		await writeFile(join(folder, "v", name), randomBytes(bytes));
	await writeFile(join(folder, "v", "i.m3u8"), HLS.media(...names));
	await writeFile(join(folder, "master.m3u8"), HLS.master("v/i.m3u8"));
}
