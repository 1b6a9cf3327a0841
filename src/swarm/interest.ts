import type { BoxId, TitleId } from "../wire/ids.ts";
import type { Neighbour } from "./neighbour.ts";

/**
 * The titles that this box wants news of, and who is told when there are some.
 * Invariant: every neighbour has been asked about exactly the titles in `watched`.
 */
export class Interest {
	private readonly neighbours: ReadonlyMap<BoxId, Neighbour>;
	/** How many want news of it. */
	private readonly watched = new Map<TitleId, number>();
	private readonly listeners = new Set<(id: TitleId, shard?: number) => void>();

	constructor(neighbours: ReadonlyMap<BoxId, Neighbour>) {
		this.neighbours = neighbours;
	}

	get titles(): Iterable<TitleId> {
		return this.watched.keys();
	}

	/** How many neighbours say that they hold all of a shard. Undefined while they are not asked about the title. */
	copies(id: TitleId, shard: number): number | undefined {
		if (!this.watched.has(id)) return undefined;
		let copies = 0;
		for (const { inventory } of this.neighbours.values()) {
			if (inventory?.blocks(id, shard)?.full) copies++;
		}
		return copies;
	}

	/** The neighbours that asked about a title. */
	*others(id: TitleId): Generator<BoxId> {
		for (const { box, wires } of this.neighbours.values())
			if (wires.some(({ inventory }) => inventory.isWanted(id))) yield box;
	}

	/** The function given back ends it. */
	watch(id: TitleId): () => void {
		const users = this.watched.get(id) ?? 0;
		this.watched.set(id, users + 1);
		if (users === 0) {
			for (const neighbour of this.neighbours.values()) neighbour.want([id]);
		}
		let ended = false;
		return () => {
			if (!ended) this.unwatch(id);
			ended = true;
		};
	}

	/** The function given back ends it. */
	onNews(listener: (id: TitleId, shard?: number) => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/** A neighbour told something of this title, or of one shard of it. */
	tell(id: TitleId, shard?: number): void {
		for (const listener of this.listeners) listener(id, shard);
	}

	/** A connection came or went: it may matter to each title. */
	tellAll(): void {
		for (const id of this.watched.keys()) this.tell(id);
	}

	private unwatch(id: TitleId): void {
		const users = (this.watched.get(id) ?? 1) - 1;
		if (users > 0) {
			this.watched.set(id, users);
			return;
		}
		this.watched.delete(id);
		for (const { inventory } of this.neighbours.values()) inventory?.unwant(id);
	}
}
