import type { Socket } from "node:net";
import type { Log } from "../base/log.ts";
import { Seldom } from "../base/seldom.ts";
import { type Bytes, MiB } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { Crowd } from "./crowd.ts";
import { Exile } from "./exile.ts";
import type { GuardedStream, Transport } from "./guard.ts";
import {
	type AdmissionReason,
	type Admitting,
	admit,
	type Member,
	type Membership,
} from "./membership.ts";
import { Mux } from "./mux.ts";

/**
 * Who is welcome is let in after some 20 ms, who stays mute is sent away after 3 s: few places are enough, and each is worth a buffer of
 * 96 KiB at most. Behind a carrier's NAT many boxes come from one address, but not so many in one moment.
 */
const MAX_WAITING = 128;
const MAX_WAITING_PER_ADDRESS = 32;
/** What all members together may make this side set aside for frames longer than any of the exchange. */
const MAX_LONG: Bytes = 32 * MiB;
/** One address may have so much of the room that members have: the rest is for others, whoever is behind it. */
const SHARE_PER_ADDRESS = 0.75;

export interface AdmissionOptions {
	readonly membership: Membership;
	/** Members connected over UDX at a time; each of them may have one TCP connection beside. */
	readonly limit: number;
	readonly log: Log;
}

/** Who is behind a connection. */
interface Caller {
	readonly stream: GuardedStream;
	/** The key that it has. */
	readonly box: BoxId;
	readonly address: string;
	/** Ends the connection. Only the first reason counts. */
	readonly refuse: (slug: AdmissionReason, detail: string) => void;
}

type OnMember = (member: Member) => void;
type Way = Pick<Admitting, "onProven" | "onMember">;

/**
 * The door: every connection comes in here. Who is let in, who was not and why, and who stays away for a while.
 * Invariants: `streams` holds every connection that is open, admitted or not; `guests` those over UDX whose certificate passed, at
 * most `limit`, and whether they are members; `early` those over TCP that wait for it. Those that this box did not dial stand on the
 * porch before they are guests, over TCP until they are members. `exile` holds only boxes that were.
 */
export class Admission {
	/** How often connections were refused, by slug. */
	readonly refusals = new Map<AdmissionReason, number>();
	private readonly options: AdmissionOptions;
	private readonly porch = new Crowd(MAX_WAITING, MAX_WAITING_PER_ADDRESS);
	/** Members while a long frame of theirs comes. */
	private readonly long = new Crowd(MAX_LONG);
	private readonly streams = new Set<GuardedStream>();
	private readonly guests = new Map<Caller, "proven" | "member">();
	private readonly early = new Map<Caller, () => void>();
	private readonly exile = new Exile();
	private readonly seldom = new Seldom();
	/** Those who made room before they shook hands. */
	private readonly dropped = new WeakSet<Socket>();
	private closed = false;
	/** Members over UDX at a time from now on; who is one already stays. */
	limit: number;

	constructor(options: AdmissionOptions) {
		this.options = options;
		this.limit = options.limit;
	}

	/** Somebody dialled the TCP listener, and has not shaken hands yet. */
	knock(socket: Socket): void {
		const { remoteAddress: address = "" } = socket;
		this.porch.enter(socket, address, () => {
			this.dropped.add(socket);
			this.refused("crowded", { transport: "tcp", address });
			socket.destroy();
		});
		socket.once("close", () => this.porch.leave(socket));
	}

	/** It never did. */
	strayed(socket: Socket, err: unknown): void {
		if (this.closed || this.dropped.has(socket)) return;
		const { remoteAddress: address } = socket;
		this.refused("handshake", { transport: "tcp", address, err });
	}

	/** Runs membership on a new connection; ends the connection when it does not pass. */
	enter(stream: GuardedStream, transport: Transport, onMember: OnMember): void {
		const caller = this.take(stream, transport);
		const { box, address, refuse } = caller;
		if (this.closed) stream.destroy();
		else if (this.exile.has(box)) refuse("exiled", "it was cut off");
		else if (transport === "udx" && this.isFull(address))
			refuse("full", "too many");
		else {
			const { membership } = this.options;
			const mux = new Mux(stream, (err) => this.fault(box, err));
			// A TCP connection lives beside one on which heads are told.
			const me =
				transport === "udx"
					? membership
					: { ...membership, currentHead: () => undefined };
			const way =
				transport === "udx"
					? this.first(caller, onMember)
					: this.second(caller, onMember);
			admit(mux, transport, me, { ...way, onRefused: refuse });
			if (!stream.isInitiator)
				this.porch.enter(stream.rawStream, address, () => crowdOut(caller));
		}
	}

	/** Keeps a box away for a while. */
	banish(box: BoxId, slug: string): void {
		this.exile.add(box, slug);
	}

	isExiled(box: BoxId): boolean {
		return this.exile.has(box);
	}

	/** Ends all connections; there will be no others. */
	close(): void {
		this.closed = true;
		for (const stream of this.streams) stream.destroy();
	}

	private take(stream: GuardedStream, transport: Transport): Caller {
		const { log } = this.options;
		const box = stream.remotePublicKey.toString("hex") as BoxId;
		const { rawStream } = stream;
		const address = rawStream.remoteHost ?? rawStream.remoteAddress ?? "";
		let isRefused = false;
		const refuse: Caller["refuse"] = (slug, detail) => {
			if (isRefused) return;
			isRefused = true;
			this.refused(slug, { box: short(box), detail, transport, address });
			stream.destroy();
		};
		const caller = { stream, box, address, refuse };
		this.streams.add(stream);
		stream.on("close", () => {
			this.streams.delete(stream);
			this.guests.delete(caller);
			this.early.delete(caller);
			this.porch.leave(rawStream);
			this.long.leave(caller);
		});
		stream.on("error", (err) => {
			log.debug({ err, transport, box: short(box) }, "a connection ended");
		});
		return caller;
	}

	/** Over UDX. Before it is a member, it tells the head that it knows. */
	private first(caller: Caller, onMember: OnMember): Way {
		const { stream, address, box } = caller;
		return {
			onProven: () => {
				// Others may have come in since.
				if (this.isFull(address)) return "full";
				this.guests.set(caller, "proven");
				this.porch.leave(stream.rawStream);
				const drop = () => crowdOut(caller);
				stream.release({
					begin: (length) => this.long.enter(caller, address, drop, length),
					end: () => this.long.leave(caller),
				});
				return undefined;
			},
			onMember: (member) => {
				this.guests.set(caller, "member");
				onMember(member);
				for (const [other, welcome] of this.early)
					if (other.box === box) welcome();
			},
		};
	}

	/** Over TCP, beside UDX. It may be the faster of the two: the other side dials as soon as we are its neighbour. */
	private second(caller: Caller, onMember: OnMember): Way {
		const { stream, box } = caller;
		return {
			onProven: (welcome) => {
				if (this.isMember(box)) return undefined;
				this.early.set(caller, welcome);
				return "later";
			},
			onMember: (member) => {
				this.early.delete(caller);
				this.porch.leave(stream.rawStream);
				stream.release();
				onMember(member);
			},
		};
	}

	private isMember(box: BoxId): boolean {
		for (const [guest, state] of this.guests)
			if (guest.box === box && state === "member") return true;
		return false;
	}

	private isFull(address: string): boolean {
		const { limit } = this;
		const guests = [...this.guests.keys()];
		const same = guests.filter((other) => other.address === address);
		return guests.length >= limit || same.length >= limit * SHARE_PER_ADDRESS;
	}

	private refused(slug: AdmissionReason, fields: object): void {
		this.refusals.set(slug, (this.refusals.get(slug) ?? 0) + 1);
		const { log } = this.options;
		const others = this.seldom.pass(slug);
		// Those who stay out try again and again, and anybody can come to the door.
		if (others === undefined) {
			log.debug({ slug, ...fields }, "connection refused");
		} else
			log.info(
				{ slug, ...fields, ...(others && { others }) },
				"connection refused",
			);
	}

	private fault(box: BoxId, err: Error): void {
		const others = this.seldom.pass("fault");
		if (others === undefined) return;
		const fields = { err, box: short(box), others };
		this.options.log.error(fields, "a frame of a neighbour met a fault");
	}
}

function crowdOut({ refuse }: Caller): void {
	refuse("crowded", "others came from its address");
}
