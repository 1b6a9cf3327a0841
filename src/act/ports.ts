import type { Bytes, Millis, Rate } from "../base/units.ts";
import type { Bitfield } from "../content/bitfield.ts";
import type { BlockRun, Geometry } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import type { VerifiedBlock, VerifiedLeaves } from "../content/verify.ts";
import type { PlayerWord } from "../plan/session.ts";
import type { CatalogEntry } from "../wire/catalog.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import type { Level } from "../wire/near.ts";

/** A shard of which some blocks are on disk and verified. */
export interface PartialShard {
	readonly shard: number;
	readonly blocks: Bitfield;
}

/** What the disk holds of one title. Read anew every round. */
export interface TitleInventory {
	readonly id: TitleId;
	readonly geometry: Geometry;
	/** Complete and verified shards. */
	readonly held: Bitfield;
	readonly partial: readonly PartialShard[];
	/** Bytes on disk, leaves included. */
	readonly bytes: Bytes;
}

/** The shard store: the directory is the database. */
export interface Store {
	/** Titles with a manifest on disk. */
	titles(): readonly TitleId[];
	manifest(id: TitleId): Promise<Manifest | undefined>;
	/** Exact manifest bytes, for neighbours. */
	manifestBytes(id: TitleId): Promise<Buffer | undefined>;
	/** Verifies against the id and keeps it. Throws MANIFEST_INVALID. */
	putManifest(id: TitleId, bytes: Uint8Array): Promise<Manifest>;
	inventory(id: TitleId): TitleInventory | undefined;
	hasBlock(id: TitleId, shard: number, block: number): boolean;
	/** Undefined when the shard's leaves are not on disk. */
	leaves(id: TitleId, shard: number): Promise<VerifiedLeaves | undefined>;
	/** Opens the shard for writing, unless it is there. Throws STORE_FULL, STORE_UNUSABLE or TITLE_UNKNOWN. */
	putLeaves(id: TitleId, shard: number, leaves: VerifiedLeaves): Promise<void>;
	/** Writes a block; a shard's last block makes the shard held. Throws as `putLeaves`. */
	putBlock(
		id: TitleId,
		shard: number,
		block: number,
		bytes: VerifiedBlock,
	): Promise<void>;
	/** Ciphertext of a run of blocks, checked against their leaves when first read. Undefined when any is not held. */
	read(id: TitleId, run: BlockRun): Promise<Buffer | undefined>;
	/** Removes a shard, whole or partial: the unlink is the reclaim. */
	removeShard(id: TitleId, shard: number): Promise<void>;
	removeTitle(id: TitleId): Promise<void>;
	readonly usedBytes: Bytes;
	/** `usedBytes`, and what is begun will take yet. */
	readonly reservedBytes: Bytes;
	/** What has to go for `reservedBytes` to be within the capacity; below 0 there is room. */
	readonly excess: Bytes;
	/** Whether anything is to be written: not to a disk in trouble. */
	readonly takesWrites: boolean;
	/** What quota and disk allow just now. */
	readonly capacity: Bytes;
	/** The part of the capacity kept for what is watched without being placed. */
	readonly streamingShare: Bytes;
	/** What is left of the streaming share beside manifests, which come out of it, and of the capacity for placed shards. */
	readonly streamingRoom: Bytes;
	readonly placedRoom: Bytes;
}

/** A neighbour as a source for one shard, with what has been measured of it. */
export interface Candidate {
	readonly box: BoxId;
	readonly level: Level;
	readonly blocks: Bitfield;
	/** Bytes asked for and not yet arrived. */
	readonly inFlight: Bytes;
	/** How many bytes may be in flight to it. */
	readonly window: Bytes;
	/** Measured; 0 when unproven. */
	readonly throughput: Rate;
	/** Measured; 0 when unproven. */
	readonly roundTrip: Millis;
}

export interface BlockRequest {
	readonly title: TitleId;
	readonly run: BlockRun;
	/** Bytes of the whole run. */
	readonly bytes: Bytes;
	readonly blockSize: Bytes;
	readonly urgent: boolean;
}

/** Why a neighbour did not give what it was asked for: a refusal slug, a timeout, or gone. */
export class NeighbourFailed extends Error {
	override readonly name = "NeighbourFailed";
	readonly slug: string;

	constructor(slug: string) {
		super(`the neighbour failed: ${slug}`);
		this.slug = slug;
	}
}

/** The private swarm, as the executors see it. */
export interface Neighbours {
	/** Tells neighbours that news of this title is wanted; the function given back ends it. */
	watch(id: TitleId): () => void;
	candidates(id: TitleId, shard: number): readonly Candidate[];
	/** Why neighbours that have some of a shard are not to be asked for it just now: slugs as of NeighbourFailed. */
	resting(id: TitleId, shard: number): readonly string[];
	/** How many neighbours say that they hold all of a shard. Undefined while they are not asked about the title. */
	copies(id: TitleId, shard: number): number | undefined;
	/** How many neighbours that want the title, too, come before this box where nobody has a piece of it: see plan/turn.ts. */
	turn(id: TitleId, piece: number): number;
	/** How near a neighbour is; FAR when it is none. */
	level(box: BoxId): Level;
	/** Whether this box is connected (or being connected) to a neighbour. */
	isConnected(box: BoxId): boolean;
	/** Dials boxes of a holder table that are not connected. Never throws; news comes through `onNews`. */
	dial(boxes: readonly BoxId[]): void;
	/** Any neighbour that has the file. Rejects with NeighbourFailed when none does. */
	manifest(id: TitleId, signal: AbortSignal): Promise<Buffer>;
	holders(id: TitleId, signal: AbortSignal): Promise<Buffer>;
	leaves(
		box: BoxId,
		id: TitleId,
		shard: number,
		bytes: Bytes,
		signal: AbortSignal,
	): Promise<Buffer>;
	/** Calls `onBlock` with each block as it arrives, unverified. Rejects with NeighbourFailed. */
	blocks(
		box: BoxId,
		request: BlockRequest,
		onBlock: (block: number, bytes: Buffer) => void,
		signal: AbortSignal,
	): Promise<void>;
	/** A neighbour sent wrong bytes: it is cut off and stays away for a while. */
	expel(box: BoxId, slug: string): void;
	/** Called whenever inventory or connections change for a watched title; with the shard where it is only about one. */
	onNews(listener: (id: TitleId, shard?: number) => void): () => void;
}

/** Any static HTTP server with the title files. All reject with ORIGIN_FAILED. */
export interface Origin {
	manifest(id: TitleId, signal: AbortSignal): Promise<Buffer>;
	holders(id: TitleId, signal: AbortSignal): Promise<Buffer>;
	/** A file by its path below the origin, at most `limit` bytes. */
	file(path: string, limit: Bytes, signal: AbortSignal): Promise<Buffer>;
	/** Bytes [offset, offset + length) of a shard's file, chunk by chunk as they arrive. */
	shard(
		id: TitleId,
		shard: number,
		offset: Bytes,
		length: Bytes,
		signal: AbortSignal,
	): AsyncIterable<Buffer>;
}

/** A title's key in the hands of who plays the title. It is renewed by itself until it is closed. */
export interface TitleKey {
	/** Aborted with a LarderError when the key may be used no more: TITLE_KEY_EXPIRED, or TITLE_KEY_DENIED. */
	readonly ended: AbortSignal;
	/** Plaintext of bytes that lie at `offset` of the byte space. Throws as `ended` says. */
	decipher(offset: Bytes, bytes: Uint8Array): Buffer;
	/** Nobody plays the title any more. */
	close(): void;
}

/** Title keys. */
export interface Keys {
	/**
	 * Asks at once, while the manifest against which the key is checked may still be on its way.
	 * Rejects with TITLE_KEY_DENIED, TITLE_KEY_EXPIRED or TITLE_KEY_UNAVAILABLE, or as `manifest` does.
	 */
	open(
		id: TitleId,
		manifest: Promise<Manifest>,
		signal: AbortSignal,
	): Promise<TitleKey>;
}

export interface Catalog {
	list(): Promise<readonly CatalogEntry[]>;
	get(id: TitleId): Promise<CatalogEntry | undefined>;
}

/** Who should hold what, as far as signed holder tables are known. */
export interface HolderBook {
	/** Dials boxes that should hold a shard and are not connected. Looks for a newer table in the background. */
	dial(id: TitleId, shard: number): void;
	/** The boxes before a rank; undefined when they are not known. */
	before(
		id: TitleId,
		shard: number,
		rank: number,
	): readonly BoxId[] | undefined;
}

export type Source = "disk" | "origin" | BoxId;

/** What a player asks for. */
export interface Playing {
	readonly offset: Bytes;
	readonly length: Bytes;
	/** When it asked, by the monotonic clock. */
	readonly began: Millis;
	/** What it says of itself, if it does. */
	readonly word: PlayerWord | undefined;
}

/** A title that a player reads. */
export interface OpenTitle {
	readonly id: TitleId;
	readonly manifest: Manifest;
	/**
	 * Plaintext of bytes [offset, offset + length) of the byte space, in order, as soon as each block is verified.
	 * Throws TITLE_UNAVAILABLE when a block cannot be had, and TITLE_KEY_EXPIRED or TITLE_KEY_DENIED once the key may be
	 * used no more. Ending the iteration or the signal stops its fetches.
	 */
	read(
		offset: Bytes,
		length: Bytes,
		signal: AbortSignal,
	): AsyncIterable<Buffer>;
	/** The same for a player: how it is to watch counts. */
	play(playing: Playing, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** What the gateway serves from. */
export interface Library {
	titles(): Promise<readonly CatalogEntry[]>;
	/** Throws TITLE_UNKNOWN, TITLE_KEY_DENIED, TITLE_KEY_EXPIRED, TITLE_KEY_UNAVAILABLE or TITLE_UNAVAILABLE. */
	open(id: TitleId, signal: AbortSignal): Promise<OpenTitle>;
	/** Where the bytes that players got in each of the last seconds came from, newest last. */
	recent(): readonly SecondOfSources[];
}

/** Bytes by source in one second. Neighbours are named by their place in a list, never by id. */
export interface SecondOfSources {
	/** Unix seconds. */
	readonly at: number;
	readonly disk: Bytes;
	readonly origin: Bytes;
	/** Index is the neighbour's number as the page shows it, from 1; entry 0 is unused. */
	readonly neighbours: readonly Bytes[];
}
