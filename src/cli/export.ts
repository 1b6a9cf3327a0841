import {
	mkdir,
	open,
	readdir,
	readFile,
	rename,
	rm,
	stat,
} from "node:fs/promises";
import { join, resolve } from "node:path";
import { loadConfig } from "../agent/config.ts";
import { LarderError, systemCode } from "../base/errors.ts";
import { type Bytes, formatBytes } from "../base/units.ts";
import { shardFileBytes } from "../content/geometry.ts";
import { type Manifest, readManifest } from "../content/manifest.ts";
import {
	diskError,
	syncFolder,
	writeExactly,
	writeWhole,
} from "../store/files.ts";
import { LooseShard } from "../store/loose.ts";
import { ShardDamaged } from "../store/opening.ts";
import { MANIFEST } from "../store/scan.ts";
import { isTitleId, short, type TitleId } from "../wire/ids.ts";
import { plural, print, printJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** What was written. */
interface Exported {
	readonly title: TitleId;
	readonly folder: string;
	shards: number;
	/** Which were there already. */
	present: number;
	bytes: Bytes;
}

/**
 * Writes the shards that this box holds of a title to `<dir>/<title id>`, each checked on the way, for the inbox of another. The agent may
 * run meanwhile. What is there already stays, so that it can be done again after it was interrupted. Throws TITLE_UNKNOWN,
 * STORE_FULL and STORE_UNUSABLE.
 * @param title its id, or how that begins
 */
export async function exportCommand(
	title: string,
	dir: string,
	{ config: path, json }: { readonly config: string; readonly json: boolean },
): Promise<void> {
	const { data } = await loadConfig(path);
	const shards = join(data, "shards");
	const id = await find(shards, title);
	const bar = new ProgressBar();
	const done = await exportTitle(
		{ id, from: join(shards, id), to: join(resolve(dir), id) },
		(now, all) => bar.count(short(id), now, all),
	);
	bar.clear();
	if (json) return printJson(done);
	const there = done.present > 0 ? `, ${done.present} were there` : "";
	print(
		`${plural(done.shards, "shard", "shards")} (${formatBytes(done.bytes)}) written to ${done.folder}${there}.`,
	);
}

async function find(shards: string, title: string): Promise<TitleId> {
	const names = await inDisk("reading the store", () => readdir(shards));
	const found = names.filter(isTitleId).filter((id) => id.startsWith(title));
	const [id] = found;
	if (id !== undefined && found.length === 1) return id;
	throw new LarderError(
		"TITLE_UNKNOWN",
		id === undefined
			? `${title} is not on this box`
			: `${found.length} titles on this box begin with ${title}`,
	);
}

async function exportTitle(
	{ id, from, to }: { id: TitleId; from: string; to: string },
	onProgress: (done: number, all: number) => void,
): Promise<Exported> {
	const bytes = await inDisk("reading the manifest", () =>
		readFile(join(from, MANIFEST)),
	);
	const read = readManifest(id, bytes);
	if (!read.ok)
		throw new LarderError("MANIFEST_INVALID", `${read.reason} ${read.detail}`);
	const manifest = read.value;
	const held = (await inDisk("reading the store", () => readdir(from)))
		.filter((name) => /^\d+$/.test(name))
		.map(Number)
		.toSorted((a, b) => a - b);
	const out = { title: id, folder: to, shards: 0, present: 0, bytes: 0 };
	await inDisk(`writing ${to}`, async () => {
		await mkdir(to, { recursive: true });
		await writeWhole(join(to, MANIFEST), bytes);
		for (const [index, shard] of held.entries()) {
			onProgress(index, held.length);
			const name = `${shard}`;
			const size = shardFileBytes(manifest, shard);
			if ((await sizeOf(join(to, name))) === size) out.present++;
			else if (await write(join(from, name), join(to, name), manifest, shard)) {
				out.shards++;
				out.bytes += size;
			}
		}
		await syncFolder(to);
	});
	return out;
}

/** False when the shard has gone meanwhile, or is not what it was: the agent sees to that. */
async function write(
	from: string,
	to: string,
	manifest: Manifest,
	shard: number,
): Promise<boolean> {
	const part = `${to}.part`;
	try {
		const loose = await LooseShard.open(from, manifest, shard);
		try {
			const file = await open(part, "w");
			try {
				let at = 0;
				for await (const block of loose.blocks()) {
					await writeExactly(file, block, at);
					at += block.length;
				}
				await writeExactly(file, loose.leaves, at);
				await file.datasync();
			} finally {
				await file.close();
			}
		} finally {
			await loose.close();
		}
		await rename(part, to);
		return true;
	} catch (error) {
		await rm(part, { force: true });
		if (error instanceof ShardDamaged || systemCode(error) === "ENOENT")
			return false;
		throw error;
	}
}

async function sizeOf(path: string): Promise<Bytes | undefined> {
	try {
		return (await stat(path)).size;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

async function inDisk<T>(what: string, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (cause) {
		throw cause instanceof LarderError ? cause : diskError(what, cause);
	}
}
