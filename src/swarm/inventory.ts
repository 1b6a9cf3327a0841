import type Protomux from "protomux";
import type { Message } from "protomux";
import { SECOND } from "../base/time.ts";
import { Bitfield } from "../content/bitfield.ts";
import type { TitleId } from "../wire/ids.ts";
import {
	delta,
	type Holding,
	type HoldingDelta,
	holding,
	INVENTORY,
	MAX_INTERESTS,
	title,
} from "../wire/inventory.ts";

/** Changes of one shard are gathered for so long before neighbours hear of them. */
export const GATHER = 0.05 * SECOND;

/** More than any shard has; `has` answers true for every block. */
const WHOLE = new Bitfield(4096, new Uint8Array(512).fill(0xff));

/** What this box tells of a title. */
export interface Holdings {
	holding(id: TitleId): Holding;
	change(id: TitleId, shard: number): HoldingDelta;
}

interface Remote {
	shards: Bitfield;
	readonly partial: Map<number, Bitfield>;
}

/**
 * Inventory with one neighbour, by interest: what is asked about is answered whole once and then kept up by deltas.
 * Memory is bounded by what this box watches and by MAX_INTERESTS of the neighbour's.
 */
export class Inventory {
	private readonly holdings: Holdings;
	private readonly onNews: (id: TitleId) => void;
	private readonly wants: Message<TitleId>;
	private readonly unwants: Message<TitleId>;
	private readonly answers: Message<Holding>;
	private readonly deltas: Message<HoldingDelta>;
	/** What the neighbour asked about. */
	private readonly interests = new Set<TitleId>();
	/** What the neighbour told. */
	private readonly told = new Map<TitleId, Remote>();

	constructor(
		mux: Protomux,
		holdings: Holdings,
		onNews: (id: TitleId) => void,
	) {
		this.holdings = holdings;
		this.onNews = onNews;
		const channel = mux.createChannel({ protocol: INVENTORY });
		if (channel === null) throw new Error("the connection has ended");
		this.wants = channel.addMessage({
			encoding: title,
			onmessage: (id) => this.onWant(id),
		});
		this.unwants = channel.addMessage({
			encoding: title,
			onmessage: (id) => this.interests.delete(id),
		});
		this.answers = channel.addMessage({
			encoding: holding,
			onmessage: (message) => this.onHolding(message),
		});
		this.deltas = channel.addMessage({
			encoding: delta,
			onmessage: (message) => this.onDelta(message),
		});
		channel.open();
	}

	/** Asks the neighbour to tell what it holds of a title, and what changes. */
	want(id: TitleId): void {
		this.told.set(id, { shards: new Bitfield(0), partial: new Map() });
		this.wants.send(id);
	}

	unwant(id: TitleId): void {
		if (this.told.delete(id)) this.unwants.send(id);
	}

	/** The blocks of a shard that the neighbour has said it holds. */
	blocks(id: TitleId, shard: number): Bitfield | undefined {
		const remote = this.told.get(id);
		return remote?.shards.has(shard) ? WHOLE : remote?.partial.get(shard);
	}

	/** Whether the neighbour holds anything of a title. */
	holdsAny(id: TitleId): boolean {
		const remote = this.told.get(id);
		if (remote === undefined) return false;
		return remote.shards.count > 0 || remote.partial.size > 0;
	}

	/** Tells the neighbour of a change, if it asked about the title. */
	announce(id: TitleId, shard: number): void {
		if (!this.interests.has(id)) return;
		this.deltas.send(this.holdings.change(id, shard));
	}

	private onWant(id: TitleId): void {
		if (this.interests.size >= MAX_INTERESTS && !this.interests.has(id)) return;
		this.interests.add(id);
		this.answers.send(this.holdings.holding(id));
	}

	private onHolding({ title: id, shards, partial }: Holding): void {
		const remote = this.told.get(id);
		if (remote === undefined) return;
		remote.shards = new Bitfield(shards.length * 8, shards);
		remote.partial.clear();
		for (const { shard, blocks } of partial) {
			remote.partial.set(shard, new Bitfield(blocks.length * 8, blocks));
		}
		this.onNews(id);
	}

	private onDelta({ title: id, shard, held, blocks }: HoldingDelta): void {
		const remote = this.told.get(id);
		if (remote === undefined) return;
		remote.partial.delete(shard);
		if (held && shard >= remote.shards.length) {
			// A shard beyond what the first answer covered: it held nothing then.
			remote.shards = new Bitfield(shard + 1, remote.shards.bytes);
		}
		if (held) remote.shards.add(shard);
		else {
			remote.shards.delete(shard);
			if (blocks.length > 0) {
				remote.partial.set(shard, new Bitfield(blocks.length * 8, blocks));
			}
		}
		this.onNews(id);
	}
}
