// The parts of the untyped Holepunch packages that the catalog uses.

declare module "hypercore-storage" {
	export default class HypercoreStorage {
		constructor(
			folder: string,
			options: {
				/** True leaves out the check that the folder is not a copy. */
				allowBackup?: boolean;
				/** Bytes of one RocksDB write buffer; there are two. */
				writeBufferSize?: number;
				maxOpenFiles?: number;
				maxBackgroundJobs?: number;
				blockCache?: boolean;
				tableCacheIndexAndFilterBlocks?: boolean;
			},
		);
	}
}

declare module "hypercore" {
	import type { EventEmitter } from "node:events";
	export default class Hypercore extends EventEmitter<{
		append: [];
		download: [index: number];
		truncate: [length: number, fork: number];
		conflict: [length: number, fork: number];
		close: [];
	}> {
		readonly key: Buffer;
		/** Blocks that the writer has signed, as far as is known here. */
		readonly length: number;
		/** Blocks from the first on that are on disk without a gap. */
		readonly contiguousLength: number;
		readonly fork: number;
		readonly writable: boolean;
		readonly closing: Promise<void> | null;
		ready(): Promise<void>;
		append(block: Uint8Array): Promise<unknown>;
		truncate(length: number): Promise<void>;
		snapshot(options: { wait: boolean }): Hypercore;
		/** An `end` of -1 goes on with every block that is ever added. */
		download(range: { start: number; end: number; linear: boolean }): unknown;
		close(): Promise<void>;
	}
}

declare module "corestore" {
	import type { NoiseStream } from "@hyperswarm/secret-stream";
	import type Hypercore from "hypercore";
	import type HypercoreStorage from "hypercore-storage";
	export default class Corestore {
		constructor(
			storage: HypercoreStorage,
			options?: { readonly readOnly: boolean },
		);
		ready(): Promise<void>;
		get(
			options: { name: string } | { key: Buffer; writable: boolean },
		): Hypercore;
		replicate(stream: NoiseStream): NoiseStream;
		close(): Promise<void>;
	}
}

declare module "hyperbee" {
	import type { Readable } from "node:stream";
	import type Hypercore from "hypercore";
	export interface BeeNode {
		readonly seq: number;
		readonly key: string;
		readonly value: string;
	}
	export type BeeChange =
		| (BeeNode & { readonly type: "put" })
		| {
				readonly type: "del";
				readonly seq: number;
				readonly key: string;
				readonly value: null;
		  };
	export default class Hyperbee {
		constructor(
			core: Hypercore,
			options: {
				keyEncoding: "utf-8";
				valueEncoding: "utf-8";
				extension: false;
				/** Reads the tree as it was at this length of the log. */
				checkout?: number;
			},
		);
		ready(): Promise<void>;
		put(
			key: string,
			value: string,
			options: { cas(previous: BeeNode, next: BeeNode): boolean },
		): Promise<void>;
		del(key: string): Promise<void>;
		createReadStream(): Readable & AsyncIterable<BeeNode>;
		createHistoryStream(options: {
			gte: number;
			lt: number;
			wait: false;
		}): Readable & AsyncIterable<BeeChange>;
		close(): Promise<void>;
	}
}
