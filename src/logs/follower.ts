import type { NoiseStream } from "@hyperswarm/secret-stream";
import type Corestore from "corestore";
import Hyperbee from "hyperbee";
import type Hypercore from "hypercore";
import { LarderError } from "../base/errors.ts";
import type { CatalogEntry } from "../wire/catalog.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import { BEE, decodeEntry } from "./entry.ts";
import { openStorage } from "./storage.ts";

/** What may be wrong with a catalog log; none of it stops a box. */
export type CatalogFault =
	/** The head names a shorter log than it did before. */
	| "catalog-shrunk"
	/** The writer took entries back; the log is read again from its start. */
	| "catalog-forked"
	/** Two logs are signed with one key; this one is followed no further. */
	| "catalog-conflict"
	/** An entry that is not one was left out. */
	| "catalog-bad-entry"
	/** The log on disk did not open and is fetched again. */
	| "catalog-damaged";

/** Blocks that are read one after the other, and how many such rows side by side: thousands one by one would hold up a start. */
const ROW = 32;
const ROWS = 16;

export interface FollowerEvents {
	/** Entries changed, or more of the log was read. */
	onProgress(): void;
	onFault(fault: CatalogFault, detail: string): void;
}

/**
 * One log, downloaded whole and replayed into memory.
 * Invariant: `entries` is the outcome of the first `applied` blocks; only blocks on disk are read, so no read ever waits for a peer.
 */
export class Follower {
	readonly key: string;
	/** Whether it only shows what is on the disk, which takes no writes. */
	readonly isFixed: boolean;
	readonly entries = new Map<TitleId, CatalogEntry>();
	private applied = 0;
	private replaying: Promise<void> | undefined;
	private closed = false;
	private readonly store: Corestore;
	private readonly core: Hypercore;
	private readonly events: FollowerEvents;

	private constructor(
		store: Corestore,
		core: Hypercore,
		events: FollowerEvents,
		isFixed: boolean,
	) {
		this.isFixed = isFixed;
		this.key = core.key.toString("hex");
		this.store = store;
		this.core = core;
		this.events = events;
	}

	/**
	 * Opens the log in its folder and replays what is on disk.
	 * @param isFixed on a disk that takes no writes: it is neither written nor followed
	 * @throws LarderError STORE_UNUSABLE
	 */
	static async open(
		folder: string,
		key: string,
		events: FollowerEvents,
		isFixed = false,
	): Promise<Follower> {
		const store = await openStorage(folder, isFixed ? "visitor" : "reader");
		try {
			const core = store.get({ key: Buffer.from(key, "hex"), writable: false });
			await core.ready();
			const follower = new Follower(store, core, events, isFixed);
			await follower.replay();
			if (!isFixed) follower.listen();
			return follower;
		} catch (cause) {
			await store.close();
			throw new LarderError(
				"STORE_UNUSABLE",
				`the catalog log in ${folder} cannot be read`,
				{ cause },
			);
		}
	}

	private listen(): void {
		const { core, events } = this;
		core.on("append", () => this.catchUp());
		core.on("download", () => this.catchUp());
		core.on("truncate", (length, fork) => this.onTruncate(length, fork));
		core.on("conflict", (length) => {
			events.onFault("catalog-conflict", `two logs of length ${length}`);
		});
		core.download({ start: 0, end: -1, linear: true });
		this.catchUp();
	}

	/** Blocks that `entries` stands for. */
	get length(): number {
		return this.applied;
	}

	replicate(stream: NoiseStream): void {
		if (!this.isFixed && !this.closed) this.store.replicate(stream);
	}

	async close(): Promise<void> {
		this.closed = true;
		await this.replaying;
		await this.core.close();
		await this.store.close();
	}

	private get readable(): boolean {
		return !this.closed && this.core.closing === null;
	}

	private onTruncate(length: number, fork: number): void {
		this.events.onFault("catalog-forked", `fork ${fork} at length ${length}`);
		// A replay under way reads a snapshot of the old log; it sees this and begins anew.
		this.applied = -1;
		this.catchUp();
	}

	private catchUp(): void {
		if (this.replaying !== undefined || !this.readable) return;
		if (this.core.contiguousLength === this.applied) return;
		this.replaying = this.replay()
			.then(
				() => this.events.onProgress(),
				(cause: unknown) => {
					// A conflict closes the log under a replay; anything else is a fault of the disk.
					if (this.readable)
						this.events.onFault("catalog-damaged", String(cause));
					this.closed = true;
				},
			)
			.finally(() => {
				this.replaying = undefined;
				this.catchUp();
			});
	}

	private async replay(): Promise<void> {
		if (this.applied < 0) {
			this.entries.clear();
			this.applied = 0;
		}
		const { fork } = this.core;
		const end = this.core.contiguousLength;
		if (end === 0) return;
		const core = this.core.snapshot({ wait: false });
		const bee = new Hyperbee(core, { ...BEE, checkout: end });
		try {
			// Block 0 is the Hyperbee's header.
			const from = Math.max(1, this.applied);
			for await (const change of changesOf(bee, from, end)) {
				if (this.closed || this.core.fork !== fork) return;
				this.apply(change.key, change.value);
			}
			if (this.core.fork === fork) this.applied = end;
		} finally {
			await bee.close();
		}
	}

	private apply(key: string, value: string | null): void {
		// Whatever stood under the key is over, also when its successor is no entry.
		if (isTitleId(key)) this.entries.delete(key);
		if (value === null) return;
		const entry = decodeEntry(key, value);
		if (entry.ok) this.entries.set(entry.value.id, entry.value);
		else
			this.events.onFault(
				"catalog-bad-entry",
				`${entry.reason} ${entry.detail}`,
			);
	}
}

/** What blocks `from` to `end`, which is not one of them, changed, in order. */
async function* changesOf(bee: Hyperbee, from: number, end: number) {
	for (let at = from; at < end; at += ROW * ROWS) {
		const rows = Array.from({ length: ROWS }, (_, n) => at + n * ROW)
			.filter((gte) => gte < end)
			.map((gte) => {
				const lt = Math.min(end, gte + ROW);
				return rowOf(bee.createHistoryStream({ gte, lt, wait: false }));
			});
		yield* (await Promise.all(rows)).flat();
	}
}

async function rowOf<T>(stream: AsyncIterable<T>): Promise<T[]> {
	const row: T[] = [];
	for await (const change of stream) row.push(change);
	return row;
}
