import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Manifest } from "../content/manifest.ts";
import type { CatalogEntry } from "../wire/catalog.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { Status } from "../wire/ipc.ts";
import type {
	Catalog,
	Keys,
	Library,
	Neighbours,
	OpenTitle,
	Origin,
	SecondOfSources,
} from "./ports.ts";
import { Stream, type StreamPorts } from "./stream.ts";

/** A title that nobody has read for so long is closed: neighbours are no longer asked about it. */
const IDLE = 60 * SECOND;

export interface LibraryPorts extends StreamPorts {
	readonly neighbours: Neighbours;
	readonly origin: Origin;
	readonly keys: Keys;
	readonly catalog: Catalog;
}

/** A title that cannot be opened in this time is given up; others may wait for the same opening. */
const START_LIMIT = 20 * SECOND;

/** The titles as players see them. A title is open while somebody plays it. */
export class TitleLibrary implements Library {
	private readonly ports: LibraryPorts;
	private readonly streams = new Map<TitleId, Promise<Stream>>();
	private readonly reaper: NodeJS.Timeout;

	constructor(ports: LibraryPorts) {
		this.ports = ports;
		this.reaper = setInterval(() => {
			for (const [id, stream] of this.streams) {
				stream.then((open) => this.closeIdle(id, open), ignore);
			}
		}, IDLE / 4);
		this.reaper.unref();
	}

	titles(): Promise<readonly CatalogEntry[]> {
		return this.ports.catalog.list();
	}

	recent(): readonly SecondOfSources[] {
		return this.ports.ledger.recent();
	}

	async open(id: TitleId, signal: AbortSignal): Promise<OpenTitle> {
		let stream = this.streams.get(id);
		if (stream === undefined) {
			stream = this.start(id, AbortSignal.timeout(START_LIMIT));
			this.streams.set(id, stream);
			stream.catch(() => {
				if (this.streams.get(id) === stream) this.streams.delete(id);
			});
		}
		const open = await stream;
		signal.throwIfAborted();
		open.lastRead = Date.now();
		return open;
	}

	async close(): Promise<void> {
		clearInterval(this.reaper);
		for (const stream of this.streams.values()) {
			await stream.then((open) => open.close(), ignore);
		}
	}

	/** Titles that are being played now, for `larder status`. */
	async streamsNow(): Promise<Status["streams"]> {
		const open = await Promise.allSettled(this.streams.values());
		return open.flatMap((stream) =>
			stream.status === "fulfilled" ? [stream.value.summary()] : [],
		);
	}

	private async start(id: TitleId, signal: AbortSignal): Promise<Stream> {
		const { neighbours, keys } = this.ports;
		const unwatch = neighbours.watch(id);
		try {
			const manifest = await findManifest(id, this.ports, signal);
			const cipher = await keys.cipher(id, manifest, signal);
			return new Stream(id, manifest, cipher, this.ports, unwatch);
		} catch (error) {
			unwatch();
			throw error;
		}
	}

	private closeIdle(id: TitleId, stream: Stream): void {
		if (stream.reading || Date.now() - stream.lastRead < IDLE) return;
		this.streams.delete(id);
		stream.close();
	}
}

export interface ManifestPorts {
	readonly store: StreamPorts["store"];
	readonly neighbours: Neighbours;
	readonly origin: Origin;
}

/** A title's manifest from disk, a neighbour or the origin, and kept. Throws TITLE_UNKNOWN when nobody has it. */
export async function findManifest(
	id: TitleId,
	{ store, neighbours, origin }: ManifestPorts,
	signal: AbortSignal,
): Promise<Manifest> {
	const there = await store.manifest(id);
	if (there !== undefined) return there;
	const causes: unknown[] = [];
	for (const source of [neighbours, origin]) {
		try {
			return await store.putManifest(id, await source.manifest(id, signal));
		} catch (error) {
			signal.throwIfAborted();
			causes.push(error);
		}
	}
	throw new LarderError(
		"TITLE_UNKNOWN",
		`no neighbour and no origin has the manifest of ${short(id)}`,
		{ cause: new AggregateError(causes) },
	);
}

/** The failure is told to those who asked for the title. */
function ignore(): void {}
