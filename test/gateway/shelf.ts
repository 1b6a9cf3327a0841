import type {
	Library,
	OpenTitle,
	SecondOfSources,
} from "../../src/act/ports.ts";
import { LarderError } from "../../src/base/errors.ts";
import { HOUR } from "../../src/base/time.ts";
import { GiB } from "../../src/base/units.ts";
import type { Manifest } from "../../src/content/manifest.ts";
import { mediaType } from "../../src/content/path.ts";
import type { BoxView } from "../../src/gateway/box.ts";
import type { PlayerWord } from "../../src/plan/session.ts";
import type { CatalogEntry } from "../../src/wire/catalog.ts";
import type { TitleId } from "../../src/wire/ids.ts";

/** A made-up title id: `digit` 64 times. */
export function idOf(digit: string): TitleId {
	return digit.repeat(64) as TitleId;
}

/** What the agent would tell of a box in the middle of its day. */
export const box = async (): Promise<BoxView> => ({
	power: "active",
	household: {
		...{ part: "in", activity: "idle", give: 625_000 },
		limits: { up: 625_000, upActive: "none" },
	},
	store: {
		...{ capacity: 40 * GiB, usedSpace: 31 * GiB, reservedSpace: 31 * GiB },
		...{ reserve: 25 * GiB, streamingShare: 4 * GiB },
		...{ transientBytes: 3 * GiB, placedBytes: 28 * GiB },
		...{ heldBytes: 28 * GiB, shards: { placed: 1792, held: 1792 } },
	},
	fill: {
		...{ hours: "operator", closed: "hours", trunk: null, neighbours: null },
		...{ up: 0, until: Date.now() + 4 * HOUR },
	},
	rates: { down: 0, up: 410_000, origin: 0 },
	limits: { down: 0, up: 625_000, origin: 0 },
	today: {
		...{ given: 7.3 * GiB, fetched: 2.1 * GiB, fromOrigin: 0.4 * GiB },
		played: 3.9 * GiB,
	},
	neighbours: 12,
	hours: {
		zone: "Europe/Berlin",
		windows: [
			{
				...{ days: [0, 1, 2, 3, 4, 5, 6], from: 1, to: 6, trunk: 0 },
				...{ neighbours: 0, up: 0, standby: true },
			},
			{
				...{ days: [0, 1, 2, 3, 4], from: 9, to: 16, trunk: null },
				...{ neighbours: 0, up: 0, standby: false },
			},
			{
				...{ days: [5, 6], from: 6, to: 10, trunk: 0, neighbours: 0 },
				...{ up: 0, standby: false },
			},
		],
	},
	hour: 20,
});

/** Bytes that tell where they come from: a slip of one byte is seen. */
export function pattern(length: number, seed = 1): Buffer {
	const bytes = Buffer.alloc(length);
	for (let i = 0; i < length; i++)
		bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 255;
	return bytes;
}

/** A library in memory, over the same port as the real one. */
export class Shelf implements Library {
	seconds: SecondOfSources[] = [];
	/** Bytes of a chunk that `read` yields. */
	chunk = 1000;
	/** What players said of themselves, in order. */
	readonly words: (PlayerWord | undefined)[] = [];
	private readonly entries = new Map<TitleId, CatalogEntry>();
	private readonly opened = new Map<TitleId, () => OpenTitle>();

	/** Puts a title up. */
	add(
		id: TitleId,
		name: string,
		files: Readonly<Record<string, Uint8Array>>,
	): void {
		const bytes = Buffer.concat(Object.values(files));
		const lengths = Object.entries(files).map(
			([path, { byteLength }]) => [path, byteLength] as const,
		);
		const shelf = this;
		this.addRead(
			id,
			name,
			Object.fromEntries(lengths),
			async function* (offset, length, signal) {
				const end = offset + length;
				for (let at = offset; at < end; at += shelf.chunk) {
					signal.throwIfAborted();
					yield bytes.subarray(at, Math.min(at + shelf.chunk, end));
				}
			},
		);
	}

	/** Puts a title up of which only the lengths of its files are known; `read` makes the bytes. */
	addRead(
		id: TitleId,
		name: string,
		lengths: Readonly<Record<string, number>>,
		read: OpenTitle["read"],
	): void {
		const manifest = manifestOf(lengths);
		this.enter(id, name, manifest.size);
		const play: OpenTitle["play"] = ({ offset, length, word }, signal) => {
			this.words.push(word);
			return read(offset, length, signal);
		};
		this.opened.set(id, () => ({ id, manifest, read, play }));
	}

	/** Puts a title up that cannot be opened. */
	addFailing(id: TitleId, name: string, error: () => Error): void {
		this.enter(id, name, 1);
		this.opened.set(id, () => {
			throw error();
		});
	}

	change(id: TitleId, entry: Partial<CatalogEntry>): void {
		const old = this.entries.get(id);
		if (old !== undefined) this.entries.set(id, { ...old, ...entry });
	}

	titles(): Promise<CatalogEntry[]> {
		return Promise.resolve([...this.entries.values()]);
	}

	async open(id: TitleId, signal: AbortSignal): Promise<OpenTitle> {
		signal.throwIfAborted();
		const open = this.opened.get(id);
		if (open === undefined)
			throw new LarderError("TITLE_UNKNOWN", "no such title");
		return open();
	}

	recent(): SecondOfSources[] {
		return this.seconds;
	}

	private enter(id: TitleId, name: string, size: number): void {
		this.entries.set(id, {
			id,
			kind: "title",
			assetId: name.toLowerCase(),
			version: 1,
			name,
			duration: 600,
			size,
		});
	}
}

function manifestOf(lengths: Readonly<Record<string, number>>): Manifest {
	let offset = 0;
	const files = Object.entries(lengths).map(([path, length]) => {
		const file = { path, offset, length, type: mediaType(path) };
		offset += length;
		return file;
	});
	return {
		v: 1,
		files,
		size: offset,
		blockSize: 1024,
		shardBlocks: 4,
		shards: [],
		cipher: {
			name: "chacha20",
			nonce: "0".repeat(24),
			keyCommitment: "0".repeat(64),
		},
	};
}
