import { shardFileBytes } from "../../content/geometry.ts";
import type { PlacedView, WantedShard } from "../../plan/fill.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { PlacedTitle } from "../../wire/placement.ts";
import { decodeRanges } from "../../wire/ranges.ts";
import type { Store } from "../ports.ts";

/** More shards than any title has. */
const MOST_SHARDS = 1_000_000;

/** One placement, laid out so that looking at it costs little: which shards of which titles, by rank. */
export class Desire {
	private readonly ranks: ReadonlyMap<TitleId, ReadonlyMap<number, number>>;
	/** Filled in as manifests come; a title's geometry never changes. */
	private readonly wanted = new Map<TitleId, readonly WantedShard[]>();

	/** @param except titles that are to be left out */
	constructor(titles: readonly PlacedTitle[], except: ReadonlySet<TitleId>) {
		this.ranks = new Map(
			titles
				.filter(({ id }) => !except.has(id))
				.map((title) => [title.id, ranksOf(title)]),
		);
	}

	has(id: TitleId, shard?: number): boolean {
		const ranks = this.ranks.get(id);
		return shard === undefined
			? ranks !== undefined
			: ranks?.has(shard) === true;
	}

	/** Undefined when the shard is not placed here. */
	rankOf(id: TitleId, shard: number): number | undefined {
		return this.ranks.get(id)?.get(shard);
	}

	/** All titles as they are on disk now. */
	view(store: Store): PlacedView[] {
		return [...this.ranks.keys()].map((id) => this.viewOf(id, store));
	}

	private viewOf(id: TitleId, store: Store): PlacedView {
		const inventory = store.inventory(id);
		if (inventory === undefined) {
			const begun = new Set<number>();
			return { id, shards: undefined, held: undefined, begun };
		}
		const { geometry, held, partial } = inventory;
		let shards = this.wanted.get(id);
		if (shards === undefined) {
			shards = [...(this.ranks.get(id) ?? [])]
				.filter(([shard]) => shard < held.length)
				.map(([shard, rank]) => {
					const bytes = shardFileBytes(geometry, shard);
					return { title: id, shard, rank, bytes };
				});
			this.wanted.set(id, shards);
		}
		const begun = new Set(partial.map(({ shard }) => shard));
		return { id, shards, held, begun };
	}
}

function ranksOf({ ranks }: PlacedTitle): ReadonlyMap<number, number> {
	return new Map(
		ranks.flatMap(({ rank, shards }) =>
			decodeRanges(shards, MOST_SHARDS).map((shard) => [shard, rank] as const),
		),
	);
}
