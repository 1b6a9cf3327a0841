import type { Library, OpenTitle } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { CatalogEntry } from "../wire/catalog.ts";
import type { Time } from "../wire/envelope.ts";
import type { TitleId } from "../wire/ids.ts";
import { type Entry, entryOf } from "./entry.ts";
import { encodePath } from "./target.ts";

/** A title as `GET /titles` lists it: its catalog entry, and how to play it. */
export type Listing = CatalogEntry & {
	/** Whether it is worth trying now; `why` says why not. */
	readonly playable: boolean;
	readonly why?: string;
	/** Always plays: it leads to the entry, or is the entry once that is known. */
	readonly url: string;
	/** The entry's path inside the title and its format; absent until the title's manifest has been read. */
	readonly entry?: string;
	readonly format?: Entry["format"];
};

/** The library's titles, with what opening them has taught. */
export class Titles {
	private readonly library: Library;
	private readonly prefix: string;
	private readonly time: Time;
	/** What the last attempt to open a title showed. */
	private readonly known = new Map<TitleId, Entry | "none" | "denied">();

	/**
	 * @param prefix what stands before the path of every address
	 * @param time by which it is judged what is available
	 */
	constructor(library: Library, prefix: string, time: Time) {
		this.library = library;
		this.prefix = prefix;
		this.time = time;
	}

	async list(): Promise<Listing[]> {
		const entries = await this.library.titles();
		return entries
			.filter(({ kind }) => kind === "title")
			.map((entry) => this.describe(entry));
	}

	/** One title of the list, its manifest read. Throws as `open` does. */
	async detail(id: TitleId, signal: AbortSignal): Promise<Listing> {
		await this.open(id, signal);
		const listed = (await this.list()).find((entry) => entry.id === id);
		if (listed === undefined) {
			throw new LarderError("TITLE_UNKNOWN", "it is not in the catalog");
		}
		return listed;
	}

	/** Where to start playing. Throws as `open` does, and FILE_UNKNOWN for a title without a playlist or film. */
	async entryUrl(id: TitleId, signal: AbortSignal): Promise<string> {
		await this.open(id, signal);
		const entry = this.known.get(id);
		if (typeof entry === "object") return this.urlOf(id, entry.path);
		throw new LarderError(
			"FILE_UNKNOWN",
			"the title has no playlist, MPD or film to start with",
		);
	}

	/** Throws TITLE_UNKNOWN, TITLE_UNAVAILABLE, or TITLE_KEY_DENIED, TITLE_KEY_EXPIRED or TITLE_KEY_UNAVAILABLE. */
	async open(id: TitleId, signal: AbortSignal): Promise<OpenTitle> {
		try {
			const title = await this.library.open(id, signal);
			if (typeof this.known.get(id) !== "object") {
				this.known.set(id, entryOf(title.manifest) ?? "none");
			}
			return title;
		} catch (error) {
			if (error instanceof LarderError && error.code === "TITLE_KEY_DENIED") {
				this.known.set(id, "denied");
			}
			throw error;
		}
	}

	private describe(catalogEntry: CatalogEntry): Listing {
		const { id } = catalogEntry;
		const known = this.known.get(id);
		const why = hindrance(catalogEntry, known, this.time);
		return {
			...catalogEntry,
			playable: why === undefined,
			...(why !== undefined && { why }),
			...(typeof known === "object"
				? {
						url: this.urlOf(id, known.path),
						entry: known.path,
						format: known.format,
					}
				: { url: this.urlOf(id, "") }),
		};
	}

	private urlOf(id: TitleId, path: string): string {
		return `${this.prefix}/titles/${id}/${encodePath(path)}`;
	}
}

function hindrance(
	{ availableFrom, availableUntil }: CatalogEntry,
	known: Entry | "none" | "denied" | undefined,
	{ now, latest }: Time,
): string | undefined {
	if (availableFrom !== undefined && latest() < availableFrom)
		return `available from ${new Date(availableFrom).toISOString()}`;
	if (availableUntil !== undefined && now() >= availableUntil)
		return `available until ${new Date(availableUntil).toISOString()}`;
	if (known === "denied") return "the operator does not let this box play it";
	if (known === "none") return "it has no playlist, MPD or film to start with";
	return undefined;
}
