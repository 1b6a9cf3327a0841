import { createReadStream } from "node:fs";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeskProcess } from "../../../src/desk/process.ts";

/** What is looked for, by names. */
export type Needles = Readonly<Record<string, Buffer>>;

const CHUNK = 4 * 1024 * 1024;

/** Which of these bytes lie anywhere in a stream. */
async function searchBytes(
	chunks: AsyncIterable<Buffer>,
	needles: Needles,
): Promise<string[]> {
	const found = new Set<string>();
	const longest = Math.max(...Object.values(needles).map((one) => one.length));
	let tail: Buffer = Buffer.alloc(0);
	for await (const chunk of chunks) {
		const bytes = Buffer.concat([tail, chunk]);
		for (const [name, needle] of Object.entries(needles))
			if (bytes.includes(needle)) found.add(name);
		tail = bytes.subarray(Math.max(0, bytes.length - longest + 1));
	}
	return [...found];
}

/** Where any of these bytes lie in the files of a folder, as `file: name`. */
export async function searchFolder(
	folder: string,
	needles: Needles,
): Promise<string[]> {
	const entries = await readdir(folder, {
		recursive: true,
		withFileTypes: true,
	});
	const found: string[] = [];
	for (const entry of entries) {
		if (!entry.isFile()) continue;
		const path = join(entry.parentPath, entry.name);
		for (const name of await searchBytes(createReadStream(path), needles))
			found.push(`${path}: ${name}`);
	}
	return found;
}

/** Which of these bytes lie anywhere in the memory of a process: all that a core dump of it would hold. */
export async function searchMemory(
	process: DeskProcess | undefined,
	needles: Needles,
): Promise<string[]> {
	if (process?.pid === undefined) throw new Error("it does not run");
	process.freeze(true);
	try {
		return await searchBytes(memoryOf(process.pid), needles);
	} finally {
		process.freeze(false);
	}
}

async function* memoryOf(pid: number): AsyncGenerator<Buffer> {
	await using memory = await open(`/proc/${pid}/mem`);
	const maps = await readFile(`/proc/${pid}/maps`, "utf8");
	let read = 0;
	for (const [, from = "", to = "", name = ""] of maps.matchAll(
		/^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/gm,
	)) {
		// The kernel's own pages, which hold nothing of the process.
		if (/^\[v/.test(name)) continue;
		const end = BigInt(`0x${to}`);
		for (let at = BigInt(`0x${from}`); at < end; at += BigInt(CHUNK)) {
			const length = Number(end - at < CHUNK ? end - at : BigInt(CHUNK));
			const { buffer, bytesRead } = await memory.read({
				buffer: Buffer.alloc(length),
				length,
				position: at,
			});
			read += bytesRead;
			yield buffer.subarray(0, bytesRead);
		}
	}
	if (read < 50e6) throw new Error(`${read} bytes are no whole process`);
}
