import type { TitleId } from "../wire/ids.ts";
import type { ShardStore } from "./store.ts";

/** What neighbours may ask this box for. What policy keeps to this box is not there, neither told of nor given. */
export class SharedShelf {
	readonly holders: (id: TitleId) => Promise<Buffer | undefined>;
	private readonly store: ShardStore;
	private readonly isShared: (id: TitleId, shard: number) => boolean;

	/** @param holders signed holder tables, which are kept elsewhere */
	constructor(
		store: ShardStore,
		isShared: (id: TitleId, shard: number) => boolean,
		holders: (id: TitleId) => Promise<Buffer | undefined>,
	) {
		this.store = store;
		this.isShared = isShared;
		this.holders = holders;
	}

	async manifest(id: TitleId): Promise<Buffer | undefined> {
		const inventory = this.store.inventory(id);
		if (inventory === undefined) return undefined;
		// A household's viewing shows in its manifests too.
		for (let shard = 0; shard < inventory.held.length; shard++) {
			if (this.isShared(id, shard)) return await this.store.manifestBytes(id);
		}
		return undefined;
	}

	async leaves(id: TitleId, shard: number): Promise<Buffer | undefined> {
		if (!this.isShared(id, shard)) return undefined;
		return await this.store.leaves(id, shard);
	}

	async blocks(
		id: TitleId,
		shard: number,
		first: number,
		count: number,
	): Promise<{ bytes: Buffer; blockSize: number } | undefined> {
		const geometry = this.store.geometry(id);
		if (geometry === undefined || !this.isShared(id, shard)) return undefined;
		const bytes = await this.store.read(id, { shard, first, count });
		return bytes && { bytes, blockSize: geometry.blockSize };
	}
}
