import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LarderError } from "../../base/errors.ts";
import type { EnrolFile } from "../../wire/enrol.ts";
import { readIfThere, SECRET } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";
import { readPapers } from "../tls/keys.ts";
import { claimIn, theBatch } from "./batches.ts";

const FILE = "enrol.json";

export interface ClaimsSettings {
	readonly batch: string;
	/** Valid ones; none for a batch whose boxes share a claim. */
	readonly serials?: readonly string[] | undefined;
	/** The folder that is filled. */
	readonly out: string;
	readonly onProgress?: (done: number, total: number) => void;
}

export interface ClaimsMade {
	/** Absolute. */
	readonly out: string;
	readonly written: number;
	/** That lay there already and are right. */
	readonly kept: number;
}

/**
 * Writes what the factory puts on boxes: `<out>/<serial>/enrol.json` for each serial, or for a batch whose boxes share a claim one
 * `<out>/enrol.json` without a serial, which the image fills in at first boot. Run again, it goes on where it ended: nothing is
 * forced to the disk, since each file that is there is compared. Throws CONFIG_INVALID for a batch that does not exist, that
 * wants serials or wants none, and without [enrol] in operator.toml.
 */
export async function writeClaims(
	operator: Operator,
	settings: ClaimsSettings,
): Promise<ClaimsMade> {
	const { enrol } = operator.config;
	if (enrol === undefined)
		throw new LarderError(
			"CONFIG_INVALID",
			"operator.toml has no [enrol]: boxes must be told where to ask",
		);
	const batch = await theBatch(operator, settings.batch);
	if (batch.shared !== (settings.serials === undefined))
		throw new LarderError(
			"CONFIG_INVALID",
			batch.shared
				? `boxes of ${batch.name} share a claim: leave --serials out`
				: `each box of ${batch.name} has its own claim: name them with --serials`,
		);
	const { ca } = await readPapers(operator);
	const out = resolve(settings.out);
	const serials = settings.serials ?? [""];
	let written = 0;
	for (const [index, serial] of serials.entries()) {
		const claim: EnrolFile = {
			v: 1,
			network: operator.network,
			rootKey: operator.rootKey.toString("hex"),
			ca,
			url: enrol.url,
			serial,
			batch: batch.name,
			claim: claimIn(batch, serial).toString("hex"),
		};
		const text = `${JSON.stringify(claim, undefined, "\t")}\n`;
		if (await put(join(out, serial), text)) written++;
		settings.onProgress?.(index + 1, serials.length);
	}
	return { out, written, kept: serials.length - written };
}

/** False when it lay there already. */
async function put(folder: string, text: string): Promise<boolean> {
	const path = join(folder, FILE);
	if ((await readIfThere(path))?.toString("utf8") === text) return false;
	await mkdir(folder, { recursive: true, mode: 0o700 });
	const temporary = `${path}.${randomBytes(6).toString("hex")}.part`;
	try {
		await writeFile(temporary, text, { mode: SECRET, flag: "wx" });
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
	return true;
}
