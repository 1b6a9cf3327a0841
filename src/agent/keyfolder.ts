import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Turns } from "../store/turns.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";

/** Leases on disk, signed by the operator, their keys sealed to this box. One file for each title. */
export class KeyFolder {
	private readonly folder: string;
	private readonly log: Log;
	private readonly turns = new Turns<TitleId>();

	constructor(folder: string, log: Log) {
		this.folder = folder;
		this.log = log;
	}

	/** Undefined when there is none, or none that can be read. */
	async read(id: TitleId): Promise<Buffer | undefined> {
		try {
			return await readFile(join(this.folder, id));
		} catch (error) {
			if (systemCode(error) !== "ENOENT")
				this.log.warn({ err: error }, "a key was not read");
			return undefined;
		}
	}

	/** Resolves when it is there, or the disk has refused. */
	async keep(id: TitleId, bytes: Buffer): Promise<void> {
		try {
			await this.turns.run(id, async () => {
				await mkdir(this.folder, { recursive: true, mode: 0o700 });
				await writeFile(this.part(id), bytes, { mode: 0o600 });
				await rename(this.part(id), join(this.folder, id));
			});
		} catch (error) {
			this.log.warn({ err: error }, "a key was not kept");
		}
	}

	/** And what a power cut left of another. Rejects with what the disk says. */
	async remove(id: TitleId): Promise<void> {
		await this.turns.run(id, async () => {
			await rm(join(this.folder, id), { force: true });
			await rm(this.part(id), { force: true });
		});
	}

	/** Removes what is not `worth` keeping, and what power cuts left: it only tells what was watched. */
	async sweep(worth: (id: TitleId, bytes: Buffer) => boolean): Promise<void> {
		const names = await readdir(this.folder).catch((error: unknown) => {
			if (systemCode(error) === "ENOENT") return [];
			throw error;
		});
		for (const name of names) {
			const id = name.replace(/\.part$/, "");
			if (!isTitleId(id)) continue;
			if (id !== name) {
				await this.turns.run(id, () => rm(this.part(id), { force: true }));
				continue;
			}
			const bytes = await this.read(id);
			if (bytes !== undefined && !worth(id, bytes)) await this.remove(id);
		}
	}

	/** While it is being written. */
	private part(id: TitleId): string {
		return join(this.folder, `${id}.part`);
	}
}
