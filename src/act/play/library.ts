import { LarderError } from "../../base/errors.ts";
import { monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { Manifest } from "../../content/manifest.ts";
import type { CatalogEntry } from "../../wire/catalog.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Status } from "../../wire/ipc.ts";
import type {
	Catalog,
	Keys,
	Library,
	OpenTitle,
	SecondOfSources,
	TitleKey,
} from "../ports.ts";
import { Appetite } from "./appetite.ts";
import { Hearing } from "./hearing.ts";
import { findToPlay, type ManifestPorts } from "./manifest.ts";
import { Stream, type StreamPorts } from "./stream.ts";

/** A title that nobody has read for so long is closed: neighbours are no longer asked about it. */
const IDLE: Millis = 60 * SECOND;
/** A title that cannot be opened in this time is given up. */
const START_LIMIT: Millis = 20 * SECOND;

export interface LibraryPorts
	extends Omit<StreamPorts, "appetite">,
		ManifestPorts {
	readonly keys: Keys;
	readonly catalog: Catalog;
	/** Whether the operator has taken a title back. */
	readonly isPurged: (id: TitleId) => boolean;
	readonly startLimit?: Millis;
}

/** The titles as players see them. A title is open while somebody plays it, once for all who do. */
export class TitleLibrary implements Library {
	private readonly ports: LibraryPorts;
	private readonly appetite = new Appetite();
	private readonly streams = new Map<TitleId, Promise<Stream>>();
	private readonly reaper: NodeJS.Timeout;
	private readonly closing = new AbortController();

	constructor(ports: LibraryPorts) {
		this.ports = ports;
		this.reaper = setInterval(() => this.closeIdle(), IDLE / 4);
		this.reaper.unref();
	}

	/** Releases of the agent are nothing to watch. */
	async titles(): Promise<readonly CatalogEntry[]> {
		const entries = await this.ports.catalog.list();
		return entries.filter(
			({ id, kind }) => kind === "title" && !this.ports.isPurged(id),
		);
	}

	recent(): readonly SecondOfSources[] {
		return this.ports.ledger.recent();
	}

	/** Opening goes on when one of those who wait goes away; when it fails or its key ends, the next who asks begins anew. */
	async open(id: TitleId, signal: AbortSignal): Promise<OpenTitle> {
		signal.throwIfAborted();
		let stream = this.streams.get(id);
		if (stream === undefined) {
			stream = this.start(id);
			this.streams.set(id, stream);
			const opened = stream;
			const gone = () => {
				if (this.streams.get(id) === opened) this.streams.delete(id);
			};
			opened.then(({ closed }) => closed.addEventListener("abort", gone), gone);
		}
		const open = await orAborted(stream, signal).catch((error: unknown) => {
			this.ports.audience.failed(id, error);
			throw error;
		});
		open.lastRead = monotonic();
		return open;
	}

	/** Whether anything is. */
	get isPlaying(): boolean {
		return this.streams.size > 0;
	}

	isOpen(id: TitleId): boolean {
		return this.streams.has(id);
	}

	/** Ends what is read of a title. */
	shut(id: TitleId): void {
		const stream = this.streams.get(id);
		this.streams.delete(id);
		stream?.then((open) => open.close(), ignore);
	}

	async close(): Promise<void> {
		clearInterval(this.reaper);
		this.closing.abort(new DOMException("closing", "AbortError"));
		for (const stream of this.streams.values()) {
			await stream.then((open) => open.close(), ignore);
		}
	}

	/** Titles that are being played now, for `larder status`. */
	async streamsNow(): Promise<Status["streams"]> {
		const now = [...this.streams.values()].map((stream) =>
			Promise.race([stream, undefined]).catch(() => undefined),
		);
		const open = await Promise.all(now);
		return open.flatMap((stream) => stream?.summary() ?? []);
	}

	private async start(id: TitleId): Promise<Stream> {
		const { neighbours, catalog, isPurged } = this.ports;
		if (isPurged(id)) throw unknown("the operator has taken it back");
		const { startLimit = START_LIMIT } = this.ports;
		const limit = AbortSignal.timeout(startLimit);
		const signal = AbortSignal.any([limit, this.closing.signal]);
		const hearing = new Hearing(() => neighbours.watch(id));
		let stream: Stream | undefined;
		try {
			const finding = findToPlay(id, this.ports, signal, () => hearing.begin());
			const opening = this.key(id, finding, signal);
			opening.catch(ignore);
			const [manifest, entry] = await Promise.all([finding, catalog.get(id)]);
			const duration = (entry?.duration ?? 0) * SECOND;
			const ports = { ...this.ports, appetite: this.appetite };
			const open = new Stream(
				...([id, manifest, duration, opening, hearing, ports] as const),
			);
			stream = open;
			open.closed.addEventListener("abort", () =>
				opening.then((key) => key.close(), ignore),
			);
			open.warm();
			const { ended } = await opening;
			ended.throwIfAborted();
			ended.addEventListener("abort", () => open.close(ended.reason));
			return open;
		} catch (error) {
			if (stream !== undefined) stream.close();
			else hearing.end();
			if (isUnavailable(error) && !(await catalog.get(id)))
				throw unknown("it is not in the catalog", error);
			if (!limit.aborted) throw error;
			const why = `it could not be opened in ${startLimit / SECOND} s`;
			throw new LarderError("TITLE_UNAVAILABLE", why, { cause: error });
		}
	}

	/** The key of a title in the catalog is asked for at once; nobody else is troubled with ids that a page made up. */
	private async key(
		id: TitleId,
		manifest: Promise<Manifest>,
		signal: AbortSignal,
	): Promise<TitleKey> {
		const { keys, catalog } = this.ports;
		if ((await catalog.get(id)) === undefined) await manifest;
		return await keys.open(id, manifest, signal);
	}

	private closeIdle(): void {
		for (const [id, stream] of this.streams) {
			stream.then((open) => {
				const idle = monotonic() - open.lastRead >= IDLE;
				if (idle && !open.reading && this.streams.get(id) === stream)
					this.shut(id);
			}, ignore);
		}
	}
}

function isUnavailable(error: unknown): boolean {
	return error instanceof LarderError && error.code === "TITLE_UNAVAILABLE";
}

function unknown(why: string, cause?: unknown): LarderError {
	return new LarderError(
		"TITLE_UNKNOWN",
		why,
		cause === undefined ? {} : { cause },
	);
}

/** Stops waiting when the signal says so; the work itself goes on. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
	const gone = Promise.withResolvers<never>();
	const abort = () => gone.reject(signal.reason);
	signal.addEventListener("abort", abort, { once: true });
	try {
		return await Promise.race([work, gone.promise]);
	} finally {
		signal.removeEventListener("abort", abort);
	}
}

/** The failure is told to those who asked for the title. */
function ignore(): void {}
