import type { Candidate } from "../act/ports.ts";
import { monotonic } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import { FAR, type Level } from "../wire/near.ts";
import type { Inventory } from "./inventory.ts";
import type { Link } from "./link.ts";
import type { Member } from "./membership.ts";
import type { Withheld } from "./upload.ts";

/** An admitted Hyperswarm connection: membership, inventory, and exchange unless TCP is there for it. */
export interface Wire {
	readonly link: Link;
	readonly member: Member;
	readonly inventory: Inventory;
}

/**
 * A box of the region with at least one admitted Hyperswarm connection.
 * Invariants: `wires` is never empty while the neighbour is on the roster; the first one carries inventory. `bulk` is open or undefined.
 */
export class Neighbour {
	readonly box: BoxId;
	/** When bytes were last moved or asked for, by the monotonic clock. */
	lastUsed: Millis = monotonic();
	/** Bytes since it came. */
	received: Bytes = 0;
	sent: Bytes = 0;
	/** Its TCP connection. */
	bulk: Link | undefined;
	/** Oldest first. There may be two: one that it dialled and one that this box did. */
	readonly wires: Wire[] = [];

	constructor(box: BoxId) {
		this.box = box;
	}

	get member(): Member | undefined {
		return this.wires[0]?.member;
	}

	get level(): Level {
		return this.member?.level ?? FAR;
	}

	/** The headend's node serves the catalog only: whether it is there says nothing of the boxes. */
	get isBox(): boolean {
		return this.member?.certificate.role === "box";
	}

	get inventory(): Inventory | undefined {
		return this.wires[0]?.inventory;
	}

	/** Exchange goes over TCP where there is one: twice the speed at half the CPU. */
	get best(): Link | undefined {
		return this.bulk ?? this.wires[0]?.link;
	}

	/** Asks about titles, on its first connection. */
	want(titles: Iterable<TitleId>): void {
		for (const id of titles) this.inventory?.want(id);
	}

	/** Tells it of a change, on whichever connection it asked. */
	announce(id: TitleId, shard: number): void {
		for (const { inventory } of this.wires) inventory.announce(id, shard);
	}

	/** Tells it anew of all that it asked about. */
	retell(): void {
		for (const { inventory } of this.wires) inventory.retell();
	}

	/** @param most bytes that may be in flight to it */
	candidate(id: TitleId, shard: number, most: Bytes): Candidate | undefined {
		const blocks = this.inventory?.blocks(id, shard);
		const download = this.best?.download;
		if (blocks === undefined || download === undefined) return undefined;
		if (download.isResting) return undefined;
		const { inFlight, throughput, roundTrip } = download;
		const window = Math.min(most, download.window);
		const { box, level } = this;
		return { box, level, blocks, inFlight, window, throughput, roundTrip };
	}

	/** Why it is not asked for a shard of which it has some; undefined when it is, or has none. */
	resting(id: TitleId, shard: number): string | undefined {
		const has = this.inventory?.blocks(id, shard) !== undefined;
		return has ? this.best?.download.resting : undefined;
	}

	/** This box gives nothing from now on: what it waits for is refused. */
	refuse(reason: Withheld): void {
		this.bulk?.refuse(reason);
		for (const { link } of this.wires) link.refuse(reason);
	}

	/** Ends all its connections. */
	cut(): void {
		this.bulk?.stream.destroy();
		for (const { link } of [...this.wires]) link.stream.destroy();
	}
}
