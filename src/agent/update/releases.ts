import {
	mkdir,
	open,
	readdir,
	readFile,
	readlink,
	rename,
	rm,
	symlink,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/errors.ts";
import { isTitleId, type TitleId } from "../../wire/ids.ts";
import { version } from "../../wire/release.ts";

/** A release that was switched to and has not yet shown that it serves. */
export interface Trial {
	readonly version: string;
	/** Undefined for the one that came with the package. */
	readonly previous: string | undefined;
	/** The title that it came as. */
	readonly title: TitleId;
}

const NONE = "-";

/**
 * The releases on this box, in a folder that `systemd/launch` reads, too:
 * `<version>/` is a whole release, `current` a link to the one that runs, `trial` a line "version previous starts boot title",
 * `refused` the versions that did not hold. What ends in `.part` is not there yet.
 * Invariant: `trial` is on disk before `current` is switched, so that no release runs that launch would not take back.
 */
export class Releases {
	private readonly dir: string;

	constructor(dir: string) {
		this.dir = dir;
	}

	/** Where a release gathers. */
	partOf(release: string): string {
		return join(this.dir, `${release}.part`);
	}

	/** Makes room for another: everything goes but the one that runs. */
	async clear(): Promise<void> {
		await mkdir(this.dir, { recursive: true, mode: 0o700 });
		const current = await this.current();
		const kept = new Set(["current", "trial", "refused", current]);
		for (const name of await readdir(this.dir))
			if (!kept.has(name))
				await rm(join(this.dir, name), { recursive: true, force: true });
	}

	/** A folder is a whole release from now on. */
	async adopt(folder: string, release: string): Promise<void> {
		await rename(folder, join(this.dir, release));
		await this.sync();
	}

	/**
	 * The next start is of this release, on trial.
	 * @param running the version that runs now
	 */
	async switchTo(
		release: string,
		title: TitleId,
		running: string,
	): Promise<void> {
		const current = await this.current();
		const previous = current === running ? current : NONE;
		await this.replace("trial", async (path) => {
			await writeFile(path, `${release} ${previous} 0 ${NONE} ${title}\n`);
			await using file = await open(path);
			await file.sync();
		});
		await this.replace("current", (path) => symlink(release, path));
	}

	/** Undefined when none is on trial. */
	async trial(): Promise<Trial | undefined> {
		const [line = ""] = (await this.read("trial")).split("\n");
		const [release = "", previous, , , title = ""] = line.split(" ");
		if (!version.safeParse(release).success || !isTitleId(title))
			return undefined;
		return {
			version: release,
			previous: previous === NONE ? undefined : previous,
			title,
		};
	}

	/** The release on trial serves: it stays. */
	async keep(): Promise<void> {
		await rm(join(this.dir, "trial"), { force: true });
		await this.sync();
	}

	/** Versions that are never tried again, last one last. */
	async refused(): Promise<string[]> {
		const lines = (await this.read("refused")).split("\n");
		return lines.filter((line) => version.safeParse(line).success);
	}

	private async current(): Promise<string | undefined> {
		try {
			return await readlink(join(this.dir, "current"));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			throw error;
		}
	}

	private async read(name: string): Promise<string> {
		try {
			return await readFile(join(this.dir, name), "utf8");
		} catch (error) {
			if (systemCode(error) === "ENOENT") return "";
			throw error;
		}
	}

	/** Makes something beside what it replaces, then puts it in its place, whatever the power does. */
	private async replace(
		name: string,
		make: (path: string) => Promise<void>,
	): Promise<void> {
		const part = join(this.dir, `${name}.part`);
		await rm(part, { force: true });
		await make(part);
		await rename(part, join(this.dir, name));
		await this.sync();
	}

	private async sync(): Promise<void> {
		await using folder = await open(this.dir, "r");
		await folder.sync();
	}
}
