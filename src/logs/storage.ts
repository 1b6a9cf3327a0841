import Corestore from "corestore";
import HypercoreStorage from "hypercore-storage";
import { LarderError } from "../base/errors.ts";
import { MiB } from "../base/units.ts";

/**
 * Opens the Corestore of one log in a folder of its own, so that removing the folder gives all its room back.
 * RocksDB is held small: its defaults are two write buffers of 64 MiB and as many open files as it likes.
 *
 * @param role a writer's folder refuses to open as a copy, because two writers of one log fork it; a reader may be copied; a visitor
 *   only looks, and so gets by with a disk that takes no writes
 * @throws LarderError STORE_UNUSABLE, with the cause
 */
export async function openStorage(
	folder: string,
	role: "writer" | "reader" | "visitor",
): Promise<Corestore> {
	const readOnly = role === "visitor";
	const store = new Corestore(
		new HypercoreStorage(folder, {
			...{ allowBackup: role !== "writer", readOnly },
			writeBufferSize: MiB,
			maxOpenFiles: 64,
			maxBackgroundJobs: 2,
			// The log is replayed into memory once; a cache of it would hold it twice.
			blockCache: false,
			tableCacheIndexAndFilterBlocks: false,
		}),
		{ readOnly },
	);
	try {
		await store.ready();
		return store;
	} catch (cause) {
		await store.close().catch(() => undefined);
		throw new LarderError(
			"STORE_UNUSABLE",
			`the catalog log in ${folder} does not open`,
			{ cause },
		);
	}
}
