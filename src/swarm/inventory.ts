import type Protomux from "protomux";
import type { Message } from "protomux";
import { monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Bitfield } from "../content/bitfield.ts";
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
import { Told } from "./told.ts";

/** Changes are gathered for so long before a neighbour hears of them; one that follows others soon, for longer. */
const GATHER: Millis = 0.05 * SECOND;
const GATHER_MORE: Millis = 0.25 * SECOND;
/** Changes in one frame: each has at most 512 bytes of blocks, and a member's frame 257 KiB. */
const TOGETHER = 128;

/** What this box tells of a title. */
export interface Holdings {
	holding(id: TitleId): Holding;
	change(id: TitleId, shard: number): HoldingDelta;
}

/** Of a node that holds no titles. */
export const NO_HOLDINGS: Holdings = {
	holding: (title) => ({ title, shards: new Uint8Array(0), partial: [] }),
	change: (title, shard) => ({
		...{ title, shard, held: false },
		blocks: new Uint8Array(0),
	}),
};

/** While it is about to sleep a box tells of nothing. */
export function holdingsUnless(
	isLeaving: () => boolean,
	holdings: Holdings,
): Holdings {
	const told = () => (isLeaving() ? NO_HOLDINGS : holdings);
	return {
		holding: (id) => told().holding(id),
		change: (id, shard) => told().change(id, shard),
	};
}

export interface InventoryPorts {
	/** Whether the neighbour is one that holds titles. */
	readonly holds: boolean;
	readonly holdings: Holdings;
	/** The neighbour told something of this title, or of one shard of it. */
	readonly onNews: (id: TitleId, shard?: number) => void;
	/** The neighbour does what no honest one does. */
	readonly onOffence: (slug: string) => void;
}

/**
 * Inventory with one neighbour, by interest: what is asked about is answered whole once and then kept up by deltas.
 * Invariants: `due` holds what the neighbour asked about and has not been told yet, and is paid only while the neighbour reads.
 * Memory is bounded by what this box watches, by MAX_INTERESTS of the neighbour's, and by what a Told takes.
 */
export class Inventory {
	private readonly ports: InventoryPorts;
	private readonly wants: Message<TitleId>;
	private readonly unwants: Message<TitleId>;
	private readonly answers: Message<Holding>;
	private readonly deltas: Message<HoldingDelta>;
	/** What the neighbour asked about. */
	private readonly interests = new Set<TitleId>();
	private readonly due = new Map<TitleId, Set<number> | "all">();
	private readonly mux: Protomux;
	private flowing = true;
	private gathering: NodeJS.Timeout | undefined;
	private paidAt: Millis = Number.NEGATIVE_INFINITY;
	/** What this box asked about. */
	private readonly told = new Map<TitleId, Told>();

	constructor(mux: Protomux, ports: InventoryPorts) {
		this.ports = ports;
		this.mux = mux;
		const channel = mux.createChannel({
			protocol: INVENTORY,
			ondrain: () => {
				this.flowing = true;
				this.pay();
			},
			// Without it the connection is of no use.
			onclose: () => {
				clearTimeout(this.gathering);
				mux.stream.destroy();
			},
		});
		if (channel === null) throw new Error("the connection has ended");
		this.wants = channel.addMessage({
			encoding: title,
			onmessage: (id) => this.onWant(id),
		});
		this.unwants = channel.addMessage({
			encoding: title,
			onmessage: (id) => {
				this.interests.delete(id);
				this.due.delete(id);
			},
		});
		this.answers = channel.addMessage({
			encoding: holding,
			onmessage: (message) =>
				this.onTold(message.title, (told) => told.all(message)),
		});
		this.deltas = channel.addMessage({
			encoding: delta,
			onmessage: (message) =>
				this.onTold(
					message.title,
					(told) => told.change(message),
					message.shard,
				),
		});
		channel.open();
	}

	/** Asks the neighbour to tell what it holds of a title, and what changes. Who holds no titles is not told who wants which. */
	want(id: TitleId): void {
		if (!this.ports.holds) return;
		this.told.set(id, new Told());
		this.wants.send(id);
	}

	unwant(id: TitleId): void {
		if (this.told.delete(id)) this.unwants.send(id);
	}

	/** Whether the neighbour asked about a title: it plays it, or is to hold it. */
	isWanted(id: TitleId): boolean {
		return this.interests.has(id);
	}

	/** The blocks of a shard that the neighbour has said it holds. */
	blocks(id: TitleId, shard: number): Bitfield | undefined {
		return this.told.get(id)?.blocks(shard);
	}

	/** The neighbour refused what it said it holds: it holds none of the shard until it says so again. */
	disbelieve(id: TitleId, shard: number): void {
		this.told.get(id)?.forget(shard);
	}

	/** Whether the neighbour holds anything of a title. */
	holdsAny(id: TitleId): boolean {
		return this.told.get(id)?.isAny ?? false;
	}

	/** Something of this shard came or went: the neighbour hears of it soon, if it asked about the title. */
	announce(id: TitleId, shard: number): void {
		if (!this.interests.has(id)) return;
		const owed = this.due.get(id) ?? new Set();
		if (owed !== "all") this.due.set(id, owed.add(shard));
		const soonest = this.paidAt + GATHER_MORE - monotonic();
		this.gathering ??= setTimeout(
			() => {
				this.gathering = undefined;
				this.paidAt = monotonic();
				this.pay();
			},
			Math.max(GATHER, soonest),
		);
	}

	/** Other titles or shards may be told of than before: the neighbour hears all anew of what it asked about. */
	retell(): void {
		for (const id of this.interests) this.due.set(id, "all");
		this.pay();
	}

	private onWant(id: TitleId): void {
		if (this.interests.size >= MAX_INTERESTS && !this.interests.has(id)) return;
		this.interests.add(id);
		this.due.set(id, "all");
		this.pay();
	}

	private pay(): void {
		const { holdings } = this.ports;
		for (const [id, owed] of this.due) {
			if (!this.flowing) return;
			this.due.delete(id);
			if (owed === "all") {
				this.flowing = this.answers.send(holdings.holding(id));
				continue;
			}
			const changes = [...owed].map((shard) => holdings.change(id, shard));
			for (let at = 0; at < changes.length; at += TOGETHER)
				this.flowing = this.sendTogether(changes.slice(at, at + TOGETHER));
		}
	}

	/** In one frame: a box that fills has much to say to many. False when the connection takes no more for now. */
	private sendTogether(changes: readonly HoldingDelta[]): boolean {
		this.mux.cork();
		for (const change of changes) this.deltas.send(change);
		this.mux.uncork();
		return this.mux.drained;
	}

	private onTold(
		id: TitleId,
		take: (told: Told) => boolean,
		shard?: number,
	): void {
		const { holds } = this.ports;
		// Who holds no titles is asked about none, and says nothing of any.
		const told = holds ? this.told.get(id) : new Told();
		if (told === undefined) return;
		if (!take(told)) this.ports.onOffence("bad-inventory");
		else if (holds) this.ports.onNews(id, shard);
		else if (told.isAny) this.ports.onOffence("role");
	}
}
