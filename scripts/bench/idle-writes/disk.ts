import { mkdir, open, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Bytes } from "../../../src/base/units.ts";
import { run } from "../../run.ts";

/** Linux counts in these, whatever the device's own are. */
const SECTOR: Bytes = 512;
const SIZE: Bytes = 1024 ** 3;

/** A small disk of its own: ext4 in a file, by a loop device. Takes root. */
export class Disk {
	/** Where it is mounted. */
	readonly folder: string;
	private readonly device: string;

	private constructor(folder: string, device: string) {
		this.folder = folder;
		this.device = device;
	}

	/** @param options as for mount(8) */
	static async open(dir: string, options: string): Promise<Disk> {
		const file = join(dir, "disk.img");
		const folder = join(dir, "disk");
		await mkdir(folder);
		await using image = await open(file, "wx");
		await image.truncate(SIZE);
		// What is laid out later would count as written by whoever is measured.
		const now = "lazy_itable_init=0,lazy_journal_init=0";
		await run("mke2fs", ["-q", "-t", "ext4", "-E", now, file]);
		await run("mount", ["-o", `loop,${options}`, file, folder]);
		const source = await run("findmnt", ["-n", "-o", "SOURCE", folder]);
		return new Disk(folder, basename(source.trim()));
	}

	/** Bytes that were written to the device since it is there; what waits in memory goes there first. */
	async written(): Promise<Bytes> {
		await run("sync", ["-f", this.folder]);
		const path = `/sys/block/${this.device}/stat`;
		const fields = (await readFile(path, "utf8")).trim().split(/\s+/);
		return Number(fields[6]) * SECTOR;
	}

	async close(): Promise<void> {
		await run("umount", [this.folder]);
	}
}
