import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { blocksIn, shardFileBytes } from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import type { VerifiedBlock } from "../content/verify.ts";
import {
	DIAL_PATIENCE,
	HOLDER_PATIENCE,
	originPatience,
} from "../plan/source.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { Source, Store } from "./ports.ts";
import type { Room } from "./room.ts";
import { type FetchPorts, ShardFetch, type Want } from "./shardfetch.ts";

/** A viewer's block that nobody could give for so long is given up. */
const GIVE_UP: Millis = 20 * SECOND;

export interface FetcherOptions extends FetchPorts {
	readonly store: Store;
	readonly room: Room;
	/** How long each rank waits for those before it. */
	readonly takeover: Millis;
}

interface Fetched {
	readonly bytes: VerifiedBlock;
	readonly source: Source;
}

/** Brings blocks to this box, for viewers and for fill, each block once however many want it, and keeps them. */
export class Fetcher {
	private readonly options: FetcherOptions;
	private readonly fetches = new Map<
		string,
		{ users: number; readonly fetch: Promise<ShardFetch> }
	>();
	private readonly endNews: () => void;

	constructor(options: FetcherOptions) {
		this.options = options;
		this.endNews = options.neighbours.onNews((id) => {
			for (const [key, { fetch }] of this.fetches) {
				if (key.startsWith(id)) fetch.then((f) => f.pump(), ignoreFailed);
			}
		});
	}

	close(): void {
		this.endNews();
	}

	/** One block for a viewer, as soon as it is verified; kept in the streaming share. Throws TITLE_UNAVAILABLE. */
	async block(
		title: TitleId,
		manifest: Manifest,
		shard: number,
		block: number,
		urgent: boolean,
		signal: AbortSignal,
	): Promise<Fetched> {
		signal.throwIfAborted();
		const keep = await this.keeper(title, shard, manifest);
		const fetch = await this.fetch(title, manifest, shard);
		return await new Promise<Fetched>((resolve, reject) => {
			const settle = (finish: () => void) => {
				clearTimeout(timer);
				signal.removeEventListener("abort", abort);
				end();
				this.release(fetch);
				finish();
			};
			const abort = () => settle(() => reject(signal.reason as Error));
			const timer = setTimeout(() => {
				const why = `block ${block} of shard ${shard} of ${short(title)} could not be had in ${GIVE_UP / 1000} s`;
				settle(() => reject(new LarderError("TITLE_UNAVAILABLE", why)));
			}, GIVE_UP);
			signal.addEventListener("abort", abort);
			const end = fetch.add({
				blocks: new Set([block]),
				urgent,
				originAfter: (held) => (held ? HOLDER_PATIENCE : DIAL_PATIENCE),
				onBlock: (index, bytes, source) => {
					keep(fetch, index, bytes);
					settle(() => resolve({ bytes, source }));
				},
			});
			if (signal.aborted) abort();
		});
	}

	/** A whole placed shard, onto the disk. Resolves when it is held. Throws what the disk says. */
	async fill(
		title: TitleId,
		manifest: Manifest,
		shard: number,
		rank: number,
		signal: AbortSignal,
	): Promise<void> {
		const { store, takeover } = this.options;
		const fetch = await this.fetch(title, manifest, shard);
		const left = new Set<number>();
		for (let block = 0; block < blocksIn(manifest, shard); block++) {
			if (!store.hasBlock(title, shard, block)) left.add(block);
		}
		const writes: Promise<void>[] = [];
		const patience = originPatience(rank, takeover);
		await new Promise<void>((resolve, reject) => {
			const settle = (finish: () => void) => {
				signal.removeEventListener("abort", abort);
				end();
				this.release(fetch);
				finish();
			};
			const abort = () => settle(() => reject(signal.reason as Error));
			signal.addEventListener("abort", abort);
			const want: Want = {
				blocks: new Set(left),
				urgent: false,
				// Neighbours that hold it are never bypassed by fill, only those that may come.
				originAfter: (held) => (held ? Number.POSITIVE_INFINITY : patience),
				onBlock: (block, bytes) => {
					const write = this.write(fetch, block, bytes);
					writes.push(write);
					write.catch((error: unknown) => settle(() => reject(error as Error)));
					left.delete(block);
					if (left.size === 0) settle(resolve);
				},
			};
			const end = fetch.add(want);
			if (signal.aborted) abort();
		});
		await Promise.all(writes);
	}

	/** The one fetch of a shard; each call is paired with a `release`. */
	private async fetch(
		title: TitleId,
		manifest: Manifest,
		shard: number,
	): Promise<ShardFetch> {
		const key = `${title}/${shard}`;
		let shared = this.fetches.get(key);
		if (shared === undefined) {
			const { store } = this.options;
			const made = store.leaves(title, shard).then((leaves) => {
				const ports = this.options;
				return new ShardFetch(title, shard, manifest, leaves, ports);
			});
			shared = { users: 0, fetch: made };
			this.fetches.set(key, shared);
		}
		shared.users++;
		try {
			return await shared.fetch;
		} catch (error) {
			this.release({ title, shard });
			throw error;
		}
	}

	private release({ title, shard }: Pick<ShardFetch, "title" | "shard">): void {
		const key = `${title}/${shard}`;
		const shared = this.fetches.get(key);
		if (shared !== undefined && --shared.users === 0) this.fetches.delete(key);
	}

	/** Keeps what viewers fetch, if the streaming share has room; a full or failing disk does not stop the film. */
	private async keeper(
		title: TitleId,
		shard: number,
		manifest: Manifest,
	): Promise<(fetch: ShardFetch, block: number, bytes: VerifiedBlock) => void> {
		const { store, room, log } = this.options;
		const started = (await store.leaves(title, shard)) !== undefined;
		const roomy = started || (await room.make(shardFileBytes(manifest, shard)));
		if (!roomy) return () => undefined;
		return (fetch, block, bytes) => {
			this.write(fetch, block, bytes).catch((error: unknown) => {
				log.warn({ err: error, title: short(title) }, "a block was not kept");
			});
		};
	}

	private async write(
		fetch: ShardFetch,
		block: number,
		bytes: VerifiedBlock,
	): Promise<void> {
		const { store } = this.options;
		const leaves = fetch.verifiedLeaves;
		if (leaves === undefined) throw new Error("a block came before its leaves");
		await store.putLeaves(fetch.title, fetch.shard, leaves);
		await store.putBlock(fetch.title, fetch.shard, block, bytes);
	}
}

/** A fetch that could not start rejects for those who wait for it. */
function ignoreFailed(): void {}
