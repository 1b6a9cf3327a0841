import { LarderError } from "../../base/errors.ts";
import { monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { blocksIn } from "../../content/geometry.ts";
import {
	FILL_PATIENCE,
	VIEWER_PATIENCE,
	type ViewerPatience,
	viewerOriginIn,
} from "../../plan/source.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Miss } from "../../wire/quality.ts";
import type { ShardPlace } from "./ask.ts";
import { Backlog } from "./backlog.ts";
import { Failures } from "./failures.ts";
import type { Ticket } from "./shard.ts";
import { type SharedPorts, type SharedShard, SharedShards } from "./shared.ts";
import type { Fetched } from "./wants.ts";

export interface FetcherOptions
	extends Omit<SharedPorts, "backlog" | "patience" | "failures"> {
	readonly patience?: ViewerPatience;
}

/** One block on its way to a viewer. */
export interface BlockFetch {
	/** Rejects with TITLE_UNAVAILABLE, or with an AbortError when it was cancelled. Need not be waited for. */
	readonly result: Promise<Fetched>;
	/** Why no neighbour has brought it, as it stands. */
	whyMissed(): Miss;
	cancel(): void;
}

/** Brings blocks to this box, for viewers and for fill, each block once however many want it, and keeps them. */
export class Fetcher {
	private readonly options: FetcherOptions;
	private readonly patience: ViewerPatience;
	private readonly backlog: Backlog;
	private readonly shards: SharedShards;
	/** When a block came last, of titles that are being fetched. */
	private readonly arrivals = new Map<TitleId, Millis>();
	private readonly endNews: () => void;

	constructor(options: FetcherOptions) {
		this.options = options;
		this.patience = options.patience ?? VIEWER_PATIENCE;
		const backlog = new Backlog(() => this.shards.wake(() => true));
		this.backlog = backlog;
		this.shards = new SharedShards({
			...options,
			backlog,
			failures: new Failures(),
			patience: this.patience,
		});
		this.endNews = options.neighbours.onNews((id, only) =>
			this.shards.news(
				({ title, shard }) => title === id && (only ?? shard) === shard,
			),
		);
	}

	/** Whether anything of a title is being fetched. */
	isFetching(title: TitleId): boolean {
		return this.shards.has(title);
	}

	/** To be called when nobody fetches any more; resolves when what has come is on disk. */
	async close(): Promise<void> {
		this.endNews();
		await this.backlog.ended();
	}

	/**
	 * One block for a viewer, as soon as it is verified; kept if the streaming share has room.
	 * @param deadline when the viewer needs it, by the monotonic clock
	 */
	block(place: ShardPlace, block: number, deadline: Millis): BlockFetch {
		return this.view(this.shards.take(place), block, deadline);
	}

	/** A block that a viewer will want soon. Undefined when there is no room to keep it until then. */
	ahead(
		place: ShardPlace,
		block: number,
		deadline: Millis,
	): BlockFetch | undefined {
		const shard = this.shards.take(place);
		if (shard.isKept) return this.view(shard, block, deadline);
		this.release(shard);
		return undefined;
	}

	/**
	 * What is missing of a placed shard, onto the disk. True when all of it came; false when nobody could be asked for the rest.
	 * Throws what the disk says, and with `origin` what the origin says.
	 * @param origin whether it may be asked; else neighbours only
	 */
	async fill(
		place: ShardPlace,
		origin: boolean,
		signal: AbortSignal,
	): Promise<boolean> {
		// What an earlier run left of it is read through first.
		await this.options.store.leaves(place.title, place.shard);
		signal.throwIfAborted();
		const shard = this.shards.take(place);
		const { left, writes } = this.missing(shard);
		const end = Promise.withResolvers<boolean>();
		const abort = () => end.reject(signal.reason);
		signal.addEventListener("abort", abort, { once: true });
		const ticket = shard.fetch.add({
			blocks: [...left],
			deadline: Number.POSITIVE_INFINITY,
			fill: Math.floor(Math.random() * 2 ** 32),
			originIn: ({ held, waited }) =>
				origin ? (held ? FILL_PATIENCE : 0) - waited : Number.POSITIVE_INFINITY,
			onBlock: (block, got) => {
				const write = shard.write(block, got);
				write.catch(end.reject);
				writes.push(write);
				left.delete(block);
				if (left.size === 0) end.resolve(true);
			},
			onStuck: (cause) => {
				if (origin && cause !== undefined) end.reject(cause);
				else end.resolve(false);
			},
		});
		if (left.size === 0) end.resolve(true);
		try {
			const whole = await end.promise;
			await Promise.all(writes);
			return whole;
		} finally {
			signal.removeEventListener("abort", abort);
			ticket.end();
			this.release(shard);
		}
	}

	/** Blocks that are neither on disk nor on their way there, and what is on its way. */
	private missing(shard: SharedShard) {
		const { title, shard: index, manifest } = shard.place;
		const left = new Set<number>();
		const writes: Promise<void>[] = [];
		for (let block = 0; block < blocksIn(manifest, index); block++) {
			if (this.options.store.hasBlock(title, index, block)) continue;
			const write = shard.writing(block);
			if (write === undefined) left.add(block);
			else writes.push(write.done);
		}
		return { left, writes };
	}

	private view(
		shard: SharedShard,
		block: number,
		deadline: Millis,
	): BlockFetch {
		const there = shard.writing(block);
		const whyMissed = () => shard.fetch.whyMissed(block);
		if (there !== undefined) {
			this.release(shard);
			const result = Promise.resolve(there);
			return { result, whyMissed, cancel: () => undefined };
		}
		const end = Promise.withResolvers<Fetched>();
		// Whoever waits for it hears of a failure; when nobody does any more it is of no interest.
		end.promise.catch(() => undefined);
		const settle = () => {
			ticket?.end();
			if (ticket !== undefined) this.release(shard);
			ticket = undefined;
			giveUp();
		};
		let ticket: Ticket | undefined = shard.fetch.add({
			blocks: [block],
			deadline,
			originIn: (standing) => viewerOriginIn(this.patience, standing),
			onBlock: (index, got) => {
				this.arrivals.set(shard.place.title, monotonic());
				shard.keep(index, got);
				settle();
				end.resolve(got);
			},
		});
		const giveUp = this.afterSilence(shard.place.title, (after) => {
			settle();
			const what = `block ${block} of shard ${shard.place.shard}`;
			const why = `${what} could not be had in ${after / SECOND} s`;
			end.reject(new LarderError("TITLE_UNAVAILABLE", why));
		});
		return {
			result: end.promise,
			whyMissed,
			cancel: () => {
				settle();
				end.reject(new DOMException("no longer wanted", "AbortError"));
			},
		};
	}

	/** Calls `tell` once no block of the title has come for as long as viewers wait; the function given back calls it off. */
	private afterSilence(
		title: TitleId,
		tell: (after: Millis) => void,
	): () => void {
		const { giveUp } = this.patience;
		const began = monotonic();
		const check = () => {
			const last = Math.max(began, this.arrivals.get(title) ?? began);
			const left = last + giveUp - monotonic();
			if (left <= 0) tell(giveUp);
			else timer = setTimeout(check, left);
		};
		let timer = setTimeout(check, giveUp);
		return () => clearTimeout(timer);
	}

	private release(shard: SharedShard): void {
		this.shards.release(shard);
		const { title } = shard.place;
		if (!this.shards.has(title)) this.arrivals.delete(title);
	}
}
