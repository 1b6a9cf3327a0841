import type { Log } from "../base/log.ts";
import { HOUR } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Wear } from "../wire/reports.ts";
import { checkWear, flashOf } from "./flash.ts";

const EVERY: Millis = 6 * HOUR;

/** Looks now and again how worn the disk is, where it says so. */
export class Aging {
	private readonly folder: string;
	private readonly log: Log;
	private readonly timer: NodeJS.Timeout;
	private latest: Wear | undefined;

	constructor(folder: string, wear: Wear | undefined, log: Log) {
		this.folder = folder;
		this.log = log;
		this.take(wear);
		this.timer = setInterval(() => void this.look(), EVERY).unref();
	}

	/** As it was when last looked; undefined for a disk that does not say. */
	get wear(): Wear | undefined {
		return this.latest;
	}

	close(): void {
		clearInterval(this.timer);
	}

	/** Never rejects: what was known stands. */
	private async look(): Promise<void> {
		try {
			this.take((await flashOf(this.folder))?.wear);
		} catch (error) {
			this.log.warn({ err: error }, "the disk does not say how worn it is");
		}
	}

	private take(wear: Wear | undefined): void {
		this.latest = wear;
		const check = wear && checkWear(wear);
		if (check?.level === "warn")
			this.log.warn({ remedy: check.remedy }, `flash: ${check.finding}`);
	}
}
