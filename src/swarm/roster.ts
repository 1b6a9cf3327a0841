import Protomux from "protomux";
import type { Pacer } from "../act/pacer.ts";
import type { Candidate } from "../act/ports.ts";
import type { Log } from "../base/log.ts";
import { Seldom } from "../base/seldom.ts";
import { monotonic } from "../base/time.ts";
import type { Bytes } from "../base/units.ts";
import { largestWindow } from "../plan/source.ts";
import { turnOf } from "../plan/turn.ts";
import type { Head } from "../wire/head.ts";
import { type BoxId, short, type TitleId } from "../wire/ids.ts";
import type { Level } from "../wire/near.ts";
import type { GuardedStream, Transport } from "./guard.ts";
import { Interest } from "./interest.ts";
import { type Holdings, holdingsUnless, Inventory } from "./inventory.ts";
import { Link } from "./link.ts";
import type { Member } from "./membership.ts";
import { Neighbour, type Wire } from "./neighbour.ts";
import type { Shelf, Withheld } from "./upload.ts";

/** Of those that came, left and were cut off, each, a minute. */
const LINES = 100;

/** Bytes of titles came from or went to a neighbour that is so near. */
export type OnTraffic = (
	direction: "from" | "to",
	bytes: Bytes,
	level: Level,
) => void;

export interface RosterPorts {
	readonly mine: BoxId;
	readonly shelf: Shelf;
	readonly holdings: Holdings;
	readonly pacer: Pacer;
	readonly currentHead: () => Head | undefined;
	readonly onTraffic: OnTraffic;
	/** A member's Hyperswarm connection, for others to use too. */
	readonly onMember: (stream: GuardedStream, member: Member) => void;
	readonly onCame: (neighbour: Neighbour) => void;
	readonly onLeft: (neighbour: Neighbour) => void;
	/** A neighbour does what no honest one does. */
	readonly onOffence: (box: BoxId, slug: string) => void;
	readonly log: Log;
}

/**
 * The neighbours. A box is one from its first admitted Hyperswarm connection to the end of its last; its TCP connection only
 * lives beside those, because membership, inventory and the catalog stay on Hyperswarm.
 */
export class Roster {
	readonly neighbours = new Map<BoxId, Neighbour>();
	readonly interest = new Interest(this.neighbours);
	/** Called when a neighbour wants something of this box. */
	onWanted: () => void = () => undefined;
	private readonly ports: RosterPorts;
	private readonly holdings: Holdings;
	private readonly seldom = new Seldom(LINES);
	/** Whether this box is about to sleep: it gives and tells of nothing. */
	private leaving = false;
	/** Whether its household needs the uplink: it gives nothing. */
	private busy = false;
	private met = false;

	constructor(ports: RosterPorts) {
		this.ports = ports;
		this.holdings = holdingsUnless(() => this.leaving, ports.holdings);
	}

	/** How many boxes are connected, and whether one ever was. */
	get standing(): { neighbours: number; met: boolean } {
		const boxes = [...this.neighbours.values()].filter(({ isBox }) => isBox);
		return { neighbours: boxes.length, met: this.met };
	}

	/** How many neighbours that want a title, too, come before this box where nobody has a piece of it. */
	turn(id: TitleId, piece: number): number {
		return turnOf(this.ports.mine, this.interest.others(id), piece);
	}

	/** This box is about to sleep: neighbours hear at once that others have to give what they wait for. */
	leave(): void {
		this.leaving = true;
		this.refuse("leaving");
		this.retell();
	}

	/** It gives again. */
	stay(): void {
		this.leaving = false;
		this.retell();
	}

	/**
	 * Whether its household needs the uplink. Those who wait hear at once to ask others. It goes on telling what it holds: to take that
	 * back and tell it anew at each change of the channel would itself keep the uplink busy.
	 */
	withhold(busy: boolean): void {
		const isNew = busy && !this.busy;
		this.busy = busy;
		if (isNew) this.refuse("busy");
	}

	/** Neighbours that asked hear of a change. */
	announce(id: TitleId, shard: number): void {
		for (const neighbour of this.neighbours.values())
			neighbour.announce(id, shard);
	}

	/** Neighbours that asked hear all anew of what this box holds. */
	retell(): void {
		for (const neighbour of this.neighbours.values()) neighbour.retell();
	}

	/** Those that have some of a shard and can be asked for it. */
	candidates(id: TitleId, shard: number): Candidate[] {
		const candidates: Candidate[] = [];
		const most = largestWindow(this.neighbours.size);
		for (const neighbour of this.neighbours.values()) {
			const candidate = neighbour.candidate(id, shard, most);
			if (candidate !== undefined) candidates.push(candidate);
		}
		return candidates;
	}

	/** Why those that have some of it are not asked for it now. */
	resting(id: TitleId, shard: number): string[] {
		return [...this.neighbours.values()].flatMap(
			(neighbour) => neighbour.resting(id, shard) ?? [],
		);
	}

	/** Takes an admitted connection. */
	add(stream: GuardedStream, transport: Transport, member: Member): void {
		if (transport === "udx") this.addWire(stream, member);
		else this.addBulk(stream, member);
	}

	/** Ends all connections of a neighbour. */
	cut(box: BoxId, slug: string): void {
		const neighbour = this.neighbours.get(box);
		if (neighbour === undefined) return;
		this.say({ box: short(box), slug }, "neighbour cut off");
		neighbour.cut();
	}

	/** Ends all connections of all. */
	cutAll(slug: string): void {
		for (const box of [...this.neighbours.keys()]) this.cut(box, slug);
	}

	/** Keeps at most so many: who was of no use for longest goes first. */
	shrink(most: number): void {
		const idle = [...this.neighbours.values()].toSorted(
			(a, b) => a.lastUsed - b.lastUsed,
		);
		const surplus = Math.max(0, idle.length - most);
		for (const { box } of idle.slice(0, surplus)) this.cut(box, "memory");
	}

	/** Cuts those who would not be let in now: revoked, expired, or certified by a key that was retired. */
	review(): void {
		for (const { box, member } of this.neighbours.values()) {
			const reason = member?.check();
			if (reason !== undefined) this.cut(box, reason);
		}
	}

	/** A newer head is known: those that it shuts out are cut, and the others hear of it. */
	headChanged(): void {
		this.review();
		const head = this.ports.currentHead();
		if (head === undefined) return;
		for (const { member } of this.neighbours.values()) member?.tell(head);
	}

	/** Our lease was renewed, or our groups are others: all see it before the old one ends. */
	renewed(): void {
		for (const { wires } of this.neighbours.values())
			for (const { member } of wires) member.greet();
	}

	private refuse(reason: Withheld): void {
		for (const neighbour of this.neighbours.values()) neighbour.refuse(reason);
	}

	private addWire(stream: GuardedStream, member: Member): void {
		const { holdings } = this;
		const { box } = member;
		const neighbour = this.neighbours.get(box) ?? new Neighbour(box);
		const inventory = new Inventory(Protomux.from(stream), {
			holdings,
			holds: holds(member),
			onNews: (id, shard) => this.interest.tell(id, shard),
			onOffence: (slug) => this.ports.onOffence(box, slug),
		});
		const wire = {
			link: this.link("udx", stream, neighbour, member),
			member,
			inventory,
		};
		neighbour.wires.push(wire);
		stream.on("close", () => this.removeWire(neighbour, wire));
		this.ports.onMember(stream, member);
		if (neighbour.wires.length > 1) return;
		this.neighbours.set(box, neighbour);
		neighbour.want(this.interest.titles);
		const { role } = member.certificate;
		this.say({ box: short(box), role }, "neighbour came");
		this.met ||= neighbour.isBox;
		this.ports.onCame(neighbour);
	}

	private removeWire(neighbour: Neighbour, wire: Wire): void {
		const { wires, box } = neighbour;
		const wasFirst = wires[0] === wire;
		wires.splice(wires.indexOf(wire), 1);
		if (wires.length === 0) {
			neighbour.cut();
			this.neighbours.delete(box);
			this.say({ box: short(box) }, "neighbour left");
			this.ports.onLeft(neighbour);
		} else if (wasFirst) neighbour.want(this.interest.titles);
		this.interest.tellAll();
	}

	/** A newer TCP connection takes the place of an older one, which the other side must have lost. */
	private addBulk(stream: GuardedStream, member: Member): void {
		const neighbour = this.neighbours.get(member.box);
		if (neighbour === undefined) {
			stream.destroy();
			return;
		}
		const link = this.link("tcp", stream, neighbour, member);
		const older = neighbour.bulk;
		neighbour.bulk = link;
		older?.stream.destroy();
		stream.on("close", () => {
			if (neighbour.bulk !== link) return;
			neighbour.bulk = undefined;
			for (const { link } of neighbour.wires) link.download.doubt();
			this.interest.tellAll();
		});
	}

	/** A neighbour that comes and goes all the time fills no log. */
	private say(fields: object, message: string): void {
		const others = this.seldom.pass(message);
		if (others === undefined) this.ports.log.debug(fields, message);
		else this.ports.log.info({ ...fields, ...(others && { others }) }, message);
	}

	/** How many neighbours but one say that they hold a block. */
	private holdersOf(
		id: TitleId,
		shard: number,
		block: number,
		but: Neighbour,
	): number {
		let holders = 0;
		for (const each of this.neighbours.values())
			if (each !== but && each.inventory?.blocks(id, shard)?.has(block))
				holders++;
		return holders;
	}

	private link(
		transport: Transport,
		stream: GuardedStream,
		neighbour: Neighbour,
		member: Member,
	): Link {
		const { shelf, pacer, log, onTraffic, onOffence } = this.ports;
		return new Link(transport, stream, {
			...{ shelf, pacer, log, holds: holds(member) },
			refusal: () =>
				this.leaving ? "leaving" : this.busy ? "busy" : undefined,
			others: (...block) => this.holdersOf(...block, neighbour),
			onWanted: () => this.onWanted(),
			onReceived: (bytes) => {
				neighbour.received += bytes;
				neighbour.lastUsed = monotonic();
				onTraffic("from", bytes, neighbour.level);
			},
			onSent: (bytes) => {
				neighbour.sent += bytes;
				neighbour.lastUsed = monotonic();
				onTraffic("to", bytes, neighbour.level);
			},
			onOffence: (slug) => onOffence(neighbour.box, slug),
		});
	}
}

/** A headend's node is there for the catalog and the head. Whoever has stolen its key gets and gives no titles with it. */
function holds({ certificate }: Member): boolean {
	return certificate.role === "box";
}
