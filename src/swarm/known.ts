import { readFile, rename, writeFile } from "node:fs/promises";
import type HyperDHT from "hyperdht";
import { systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** Nodes kept for the day on which no operator node answers. */
const KEPT = 64;
const EVERY: Millis = 5 * MINUTE;
/** After a new neighbour: by then the routing table has grown. */
const SOON: Millis = 2 * SECOND;

/**
 * Keeps the nodes met on disk, now and every few minutes, so that a restarted box finds its region without the operator.
 * Only hints: neither reading nor writing them may keep a box from working.
 */
export class KnownNodes {
	private readonly dht: Pick<HyperDHT, "toArray">;
	private readonly file: string;
	private readonly log: Log;
	private readonly timer: NodeJS.Timeout;
	private soon: NodeJS.Timeout | undefined;
	private saving: Promise<void> = Promise.resolve();

	constructor(dht: Pick<HyperDHT, "toArray">, file: string, log: Log) {
		this.dht = dht;
		this.file = file;
		this.log = log;
		this.timer = setInterval(() => void this.save(), EVERY);
		this.timer.unref();
	}

	/** A new neighbour is a sign that the routing table has grown. */
	noticed(): void {
		this.soon ??= setTimeout(() => {
			this.soon = undefined;
			void this.save();
		}, SOON);
		this.soon.unref();
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		clearTimeout(this.soon);
		await this.save();
	}

	/** One after the other: they share the file's name while it is written. */
	private save(): Promise<void> {
		this.saving = this.saving.then(async () => {
			const nodes = this.dht.toArray().slice(0, KEPT);
			if (nodes.length === 0) return;
			const text = JSON.stringify(
				nodes.map(({ host, port }) => `${host}:${port}`),
			);
			try {
				await writeFile(`${this.file}.part`, text, { mode: 0o600 });
				await rename(`${this.file}.part`, this.file);
			} catch (error) {
				this.log.warn({ err: error }, "known DHT nodes could not be kept");
			}
		});
		return this.saving;
	}
}

/** What was kept, unchecked; nothing when there is no file or it cannot be read. */
export async function readKnown(file: string, log: Log): Promise<string[]> {
	try {
		const nodes: unknown = JSON.parse(await readFile(file, "utf8"));
		if (!Array.isArray(nodes)) return [];
		return nodes.filter((node) => typeof node === "string").slice(0, KEPT);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") {
			log.warn({ err: error, file }, "known DHT nodes could not be read");
		}
		return [];
	}
}
