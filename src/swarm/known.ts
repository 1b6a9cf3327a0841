import { readFile, rename, writeFile } from "node:fs/promises";
import type HyperDHT from "hyperdht";
import { systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { HOUR, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** Nodes kept for the day on which no operator node answers. */
const KEPT = 64;
/** What a box writes while it is idle wears its flash: a hint is not worth more than a write an hour. */
const EVERY: Millis = HOUR;
/** With fewer kept in this run, those that a new neighbour brings are. */
const FEW = 8;
/** After a new neighbour: by then the routing table has grown. */
const SOON: Millis = 2 * SECOND;

/**
 * Keeps the nodes met on disk, soon and then seldom, and only when there are others than before, so that a restarted box finds its region without the operator.
 * Only hints: neither reading nor writing them may keep a box from working.
 */
export class KnownNodes {
	private readonly dht: Pick<HyperDHT, "toArray">;
	private readonly file: string;
	private readonly log: Log;
	private readonly timer: NodeJS.Timeout;
	private soon: NodeJS.Timeout | undefined;
	private saving: Promise<void> = Promise.resolve();
	/** Those that were written last. */
	private kept: ReadonlySet<string> = new Set();

	constructor(dht: Pick<HyperDHT, "toArray">, file: string, log: Log) {
		this.dht = dht;
		this.file = file;
		this.log = log;
		this.timer = setInterval(() => void this.save(), EVERY);
		this.timer.unref();
	}

	/** A new neighbour is a sign that the routing table has grown. */
	noticed(): void {
		if (this.kept.size >= FEW) return;
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
			const met = this.dht.toArray().slice(0, KEPT);
			const nodes = new Set(met.map(({ host, port }) => `${host}:${port}`));
			if ([...nodes].every((node) => this.kept.has(node))) return;
			const text = JSON.stringify([...nodes]);
			try {
				await writeFile(`${this.file}.part`, text, { mode: 0o600 });
				await rename(`${this.file}.part`, this.file);
				this.kept = nodes;
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
