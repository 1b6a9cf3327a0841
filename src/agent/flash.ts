import { readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Bytes } from "../base/units.ts";
import { isWorn, wearWords } from "../plan/wear.ts";
import type { Check } from "../wire/ipc.ts";
import type { Wear } from "../wire/reports.ts";
import { finding } from "./finding.ts";

/** Linux counts in these, whatever the device's own are. */
const SECTOR: Bytes = 512;
const RESERVES = ["normal", "warning", "urgent"] as const;

/** An eMMC or SD card. */
export interface Flash {
	readonly size: Bytes;
	/** What it says of its age (JEDEC eMMC 5.0 and later); undefined when it says nothing. */
	readonly wear: Wear | undefined;
}

/**
 * The flash that a folder lies on; undefined for other disks.
 * @param sys where sysfs is mounted
 */
export async function flashOf(
	folder: string,
	sys = "/sys",
	device?: string,
): Promise<Flash | undefined> {
	const disk = await diskOf(device ?? (await deviceOf(folder)), sys);
	if (disk === undefined || !/^mmcblk\d+$/.test(basename(disk)))
		return undefined;
	const size = Number(await read(join(disk, "size"))) * SECTOR;
	const life = await read(join(disk, "device", "life_time"));
	const end = await read(join(disk, "device", "pre_eol_info"));
	return { size, wear: life === undefined ? undefined : wearOf(life, end) };
}

/**
 * Two kinds of cells, each in steps: 0x01 is up to 10 % of its life, 0x0a up to 100 %, 0x0b beyond. The worse one counts.
 * The reserve of blocks is its own figure: 0x02 is 80 % used, 0x03 is 90 %.
 */
export function wearOf(life: string, end = ""): Wear | undefined {
	const steps = life.trim().split(/\s+/).map(Number);
	const worst = Math.max(...steps.filter((step) => step >= 1 && step <= 11));
	if (!Number.isFinite(worst)) return undefined;
	const reserve = RESERVES[Number(end.trim()) - 1] ?? "normal";
	return { used: worst * 10, reserve };
}

/** How worn the flash below the data folder is. Nothing where it is none, or does not say. */
export async function checkFlash(data: string): Promise<Check[]> {
	// A folder that is missing is found by others.
	const flash = await flashOf(data).catch(() => undefined);
	return flash?.wear === undefined ? [] : [checkWear(flash.wear)];
}

export function checkWear(wear: Wear): Check {
	return finding(
		"flash",
		isWorn(wear) ? "warn" : "ok",
		wearWords(wear),
		"Lower fill.write_budget, and plan to replace the receiver: flash that is worn out takes no more writes.",
	);
}

/** `major:minor` of what a path lies on, as Linux packs it. */
async function deviceOf(path: string): Promise<string> {
	const { dev } = await stat(path, { bigint: true });
	const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
	const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
	return `${major}:${minor}`;
}

/** The folder of a whole disk in sysfs, also for a partition of it; undefined for what lies on no block device of its own. */
async function diskOf(
	device: string,
	sys: string,
): Promise<string | undefined> {
	try {
		const place = await realpath(join(sys, "dev", "block", device));
		const isPart = (await read(join(place, "partition"))) !== undefined;
		return isPart ? dirname(place) : place;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

async function read(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}
