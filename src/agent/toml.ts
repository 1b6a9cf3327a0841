import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, TomlDate, TomlError } from "smol-toml";
import { describe, systemCode } from "../base/errors.ts";

/** What is wrong where: `where` is `file:key`, or `file:line:column` for what is no TOML. */
export interface Fault {
	readonly where: string;
	readonly problem: string;
}

/** One key as set: by the last file that sets it. */
export interface Entry {
	readonly file: string;
	readonly value: unknown;
}

export interface Entries {
	/** By dotted key: `swarm.port`. */
	readonly entries: ReadonlyMap<string, Entry>;
	/** Files that could not be read. */
	readonly faults: readonly Fault[];
}

/** The folder whose `*.toml` files override the file. */
export function dropInFolder(path: string): string {
	return `${path}.d`;
}

/** Reads the file, then its drop-ins in the order of their names. Never throws for what an operator can write. */
export async function readEntries(path: string): Promise<Entries> {
	const entries = new Map<string, Entry>();
	const faults: Fault[] = [];
	for (const file of [path, ...(await dropIns(path, faults))]) {
		try {
			flatten(file, parse(await readFile(file, "utf8")), entries);
		} catch (error) {
			faults.push(faultOf(file, error));
		}
	}
	return { entries, faults };
}

async function dropIns(path: string, faults: Fault[]): Promise<string[]> {
	const folder = dropInFolder(path);
	try {
		const names = await readdir(folder);
		return names
			.filter((name) => name.endsWith(".toml") && !name.startsWith("."))
			.sort()
			.map((name) => join(folder, name));
	} catch (error) {
		if (systemCode(error) !== "ENOENT") faults.push(faultOf(folder, error));
		return [];
	}
}

function flatten(
	file: string,
	tables: object,
	entries: Map<string, Entry>,
): void {
	for (const [name, value] of Object.entries(tables)) {
		if (!isTable(value)) {
			entries.set(name, { file, value });
			continue;
		}
		for (const [key, inner] of Object.entries(value))
			entries.set(`${name}.${key}`, { file, value: inner });
	}
}

function isTable(value: unknown): value is object {
	return (
		typeof value === "object" &&
		value !== null &&
		!Array.isArray(value) &&
		!(value instanceof TomlDate)
	);
}

function faultOf(file: string, error: unknown): Fault {
	if (error instanceof TomlError) {
		const [problem = ""] = error.message.split("\n");
		return { where: `${file}:${error.line}:${error.column}`, problem };
	}
	return { where: file, problem: `cannot be read: ${describe(error)}` };
}
