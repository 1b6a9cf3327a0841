// A disk with an image on it, as a file: to try what was built.
import { open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { run } from "../scripts/run.ts";
import type { Bytes } from "../src/base/units.ts";

const SECTOR: Bytes = 512;
const GPT_ENTRIES = { at: 2 * SECTOR, size: 128, count: 128 };
const ENV_SIZE: Bytes = 1024;

export interface Partition {
	readonly offset: Bytes;
	readonly size: Bytes;
}

/** Flashes an image onto a new disk. */
export async function flash(
	image: string,
	disk: string,
	size: Bytes,
): Promise<void> {
	await run("cp", ["--sparse=always", image, disk]);
	await truncate(disk, size);
}

/** The partitions of a disk by their names. */
export async function partitionsOf(
	disk: string,
): Promise<Map<string, Partition>> {
	await using file = await open(disk);
	const { at, size, count } = GPT_ENTRIES;
	const table = Buffer.alloc(size * count);
	await file.read(table, 0, table.length, at);
	const found = new Map<string, Partition>();
	for (let i = 0; i < table.length; i += size) {
		const first = Number(table.readBigUInt64LE(i + 32));
		const last = Number(table.readBigUInt64LE(i + 40));
		const name = table
			.toString("utf16le", i + 56, i + size)
			.replace(/\0.*$/s, "");
		const offset = first * SECTOR;
		if (first > 0)
			found.set(name, { offset, size: (last + 1 - first) * SECTOR });
	}
	return found;
}

/** Puts a file onto the boot partition of a disk that is not in use: `larder/enrol.json`. */
export async function putOnBoot(
	disk: string,
	path: string,
	content: string | Buffer,
): Promise<void> {
	const part = `${disk}.put`;
	await writeFile(part, content);
	await run("mcopy", ["-o", "-i", await bootOf(disk), part, `::/${path}`]);
	await rm(part);
}

export async function takeFromBoot(
	disk: string,
	path: string,
): Promise<Buffer> {
	const part = `${disk}.take`;
	await run("mcopy", ["-o", "-i", await bootOf(disk), `::/${path}`, part]);
	const content = await readFile(part);
	await rm(part);
	return content;
}

/** What GRUB counts: see grub.cfg. */
export async function readBootEnv(disk: string): Promise<Map<string, string>> {
	return parseEnv(`${await takeFromBoot(disk, "grub/grubenv")}`);
}

/** Sets names in it. `extra` is added to the kernel's arguments. */
export async function setBootEnv(
	disk: string,
	set: Readonly<Record<string, string>>,
): Promise<void> {
	const env = await readBootEnv(disk);
	for (const [name, value] of Object.entries(set)) env.set(name, value);
	await putOnBoot(disk, "grub/grubenv", formatEnv(env));
}

export function parseEnv(text: string): Map<string, string> {
	const lines = text.matchAll(/^([a-z_]+)=(.*)$/gm);
	return new Map([...lines].map(([, name = "", value = ""]) => [name, value]));
}

export function formatEnv(env: ReadonlyMap<string, string>): string {
	const lines = [...env].map(([name, value]) => `${name}=${value}\n`);
	const text = `# GRUB Environment Block\n${lines.join("")}`;
	if (text.length > ENV_SIZE) throw new Error("grubenv is full");
	return text.padEnd(ENV_SIZE, "#");
}

async function bootOf(disk: string): Promise<string> {
	const boot = (await partitionsOf(disk)).get("larder-boot");
	if (boot === undefined) throw new Error(`${disk} has no boot partition`);
	return `${disk}@@${boot.offset}`;
}
