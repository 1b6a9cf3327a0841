import { chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod/mini";
import { systemCode } from "../../base/errors.ts";
import { hex32, isTitleId, type TitleId, titleId } from "../../wire/ids.ts";
import { encodeMessage, parseMessage } from "../../wire/json.ts";
import {
	readIfThere,
	SECRET,
	syncFolder,
	writeWhole,
} from "../operator/file.ts";
import { titlesDir } from "./titles.ts";

/** What is left of a title that is gone: that its source is not to be published again of itself. */
const tombstone = z.object({
	id: titleId,
	source: z.object({ path: z.string(), fingerprint: hex32 }),
});

/**
 * Where titles wait that are taken back and may yet be given back: records, and with them keys, in `purged/`, files below
 * the origin in a folder that nobody else may read. Every step may be taken again, so that a headend that died between two
 * of them goes on at its next start.
 */
export class Limbo {
	private readonly records: string;
	private readonly graves: string;
	private readonly origin: string;

	constructor(operatorDir: string) {
		this.records = titlesDir(operatorDir);
		this.graves = join(operatorDir, "purged");
		this.origin = join(operatorDir, "origin");
	}

	/** Takes a title off the shelf and off the origin. */
	async hide(id: TitleId): Promise<void> {
		await mkdir(this.graves, { recursive: true, mode: 0o700 });
		await move(this.record(id), this.grave(id));
		const files = join(this.origin, id);
		if (!(await isThere(files))) return;
		// A holder table may have been written meanwhile: what was hidden first is the title.
		if (await isThere(this.hidden(id))) await rm(files, { recursive: true });
		else {
			await move(files, this.hidden(id));
			await chmod(this.hidden(id), 0o700);
		}
	}

	/** Puts it back where it was. False when it is not here. */
	async bringBack(id: TitleId): Promise<boolean> {
		if (await isThere(this.hidden(id))) {
			await chmod(this.hidden(id), 0o755);
			await move(this.hidden(id), join(this.origin, id));
		}
		// Last: with its record a title is there, and all of it.
		await move(this.grave(id), this.record(id));
		return (await readIfThere(this.record(id))) !== undefined;
	}

	/** Removes it for good, the key first. */
	async destroy(id: TitleId): Promise<void> {
		await this.hide(id);
		const bytes = await readIfThere(this.grave(id));
		const read = bytes && parseMessage(tombstone, bytes);
		// Replaced in one step: there is no moment in which neither the key nor the stone is there.
		if (read?.ok)
			await writeWhole(this.grave(id), encodeMessage(read.value), SECRET);
		else await rm(this.grave(id), { force: true });
		await rm(this.hidden(id), { recursive: true, force: true });
		await syncFolder(this.graves);
	}

	/** Whether a source of that name was a title that is taken back. */
	async holds(name: string, fingerprint: string): Promise<boolean> {
		for (const file of await this.list()) {
			const bytes = await readIfThere(join(this.graves, file));
			const read = bytes && parseMessage(tombstone, bytes);
			if (!read?.ok) continue;
			const { source } = read.value;
			if (source.fingerprint === fingerprint && basename(source.path) === name)
				return true;
		}
		return false;
	}

	private async list(): Promise<string[]> {
		try {
			const names = await readdir(this.graves);
			return names.filter((name) => isTitleId(name.replace(/\.json$/, "")));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return [];
			throw error;
		}
	}

	private record(id: TitleId): string {
		return join(this.records, `${id}.json`);
	}

	private grave(id: TitleId): string {
		return join(this.graves, `${id}.json`);
	}

	private hidden(id: TitleId): string {
		return join(this.origin, `.purged-${id}`);
	}
}

/** Does nothing when it is not there. */
async function move(from: string, to: string): Promise<void> {
	try {
		await rename(from, to);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
	}
}

async function isThere(folder: string): Promise<boolean> {
	try {
		await readdir(folder);
		return true;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return false;
		throw error;
	}
}
