import type { TitleId } from "../wire/ids.ts";
import type { ShardStore } from "./store.ts";

/** Whether neighbours may know of a shard that is here, or of anything of a title. */
export type IsShared = (id: TitleId, shard?: number) => boolean;

/** What neighbours may ask this box for. What policy keeps to this box is not there, neither told of nor given. */
export class SharedShelf {
	private readonly store: ShardStore;
	private readonly isShared: IsShared;
	private readonly tables: (id: TitleId) => Promise<Buffer | undefined>;
	private readonly onGiven: (id: TitleId) => void;

	/**
	 * @param tables signed holder tables, which are kept elsewhere
	 * @param onGiven blocks of a title are given
	 */
	constructor(
		store: ShardStore,
		isShared: IsShared,
		tables: (id: TitleId) => Promise<Buffer | undefined>,
		onGiven: (id: TitleId) => void,
	) {
		this.store = store;
		this.isShared = isShared;
		this.tables = tables;
		this.onGiven = onGiven;
	}

	// A household's viewing shows in its manifests and tables, too.

	async manifest(id: TitleId): Promise<Buffer | undefined> {
		if (!this.isShared(id)) return undefined;
		return await this.store.manifestBytes(id);
	}

	async holders(id: TitleId): Promise<Buffer | undefined> {
		if (!this.isShared(id)) return undefined;
		return await this.tables(id);
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
		if (bytes === undefined) return undefined;
		this.onGiven(id);
		return { bytes, blockSize: geometry.blockSize };
	}
}
