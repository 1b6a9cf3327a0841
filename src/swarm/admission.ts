import type { Socket } from "node:net";
import type { Log } from "../base/log.ts";
import { Seldom } from "../base/seldom.ts";
import type { Millis } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import type { GuardedStream, Transport } from "./guard.ts";
import {
	type AdmissionReason,
	admit,
	type Member,
	type Membership,
} from "./membership.ts";
import { Mux } from "./mux.ts";
import { Porch } from "./porch.ts";

/** One address may have so much of the room that members have: the rest is for others, whoever is behind it. */
const SHARE_PER_ADDRESS = 0.75;

export interface AdmissionOptions {
	readonly membership: Membership;
	/** Members connected over UDX at a time; each of them may have one TCP connection beside. */
	readonly limit: number;
	readonly log: Log;
}

/** A member, or somebody whom this side has found to be one. */
interface Guest {
	readonly transport: Transport;
	readonly address: string;
}

/**
 * The door: every connection comes in here. Who is let in, who was not and why, and who stays away for a while.
 * Invariants: `streams` holds every connection that is open, admitted or not; `guests` those whose certificate passed, of
 * which `limit` are UDX. Those of the others that this box did not dial stand on the porch. `exiles` holds only boxes that were members.
 */
export class Admission {
	/** How often connections were refused, by slug. */
	readonly refusals = new Map<AdmissionReason, number>();
	private readonly options: AdmissionOptions;
	private readonly porch = new Porch();
	private readonly streams = new Set<GuardedStream>();
	private readonly guests = new Map<GuardedStream, Guest>();
	private readonly exiles = new Map<BoxId, Millis>();
	private readonly seldom = new Seldom();
	/** Those who made room before they shook hands. */
	private readonly dropped = new WeakSet<Socket>();
	private closed = false;

	constructor(options: AdmissionOptions) {
		this.options = options;
	}

	/** Somebody dialled the TCP listener, and has not shaken hands yet. */
	knock(socket: Socket): void {
		const { remoteAddress: address = "" } = socket;
		this.porch.enter(socket, address, () => {
			this.dropped.add(socket);
			this.refused("crowded", { transport: "tcp", address });
			socket.destroy();
		});
	}

	/** It never did. */
	strayed(socket: Socket, err: unknown): void {
		if (this.closed || this.dropped.has(socket)) return;
		const { remoteAddress: address } = socket;
		this.refused("handshake", { transport: "tcp", address, err });
	}

	/** Runs membership on a new connection; ends the connection when it does not pass. */
	enter(
		stream: GuardedStream,
		transport: Transport,
		onMember: (member: Member) => void,
	): void {
		const { log, membership } = this.options;
		const box = stream.remotePublicKey.toString("hex") as BoxId;
		const { rawStream } = stream;
		const address = rawStream.remoteHost ?? rawStream.remoteAddress ?? "";
		this.streams.add(stream);
		stream.on("close", () => {
			this.streams.delete(stream);
			this.guests.delete(stream);
		});
		stream.on("error", (err) => {
			log.debug({ err, transport, box: short(box) }, "a connection ended");
		});
		let isRefused = false;
		const onRefused = (slug: AdmissionReason, detail: string) => {
			if (isRefused) return;
			isRefused = true;
			this.refused(slug, { box: short(box), detail, transport, address });
			stream.destroy();
		};
		const guest = { transport, address };
		if (this.closed) stream.destroy();
		else if (this.isExiled(box)) onRefused("exiled", "it was cut off");
		else if (this.isFull(guest)) onRefused("full", "too many");
		else {
			const onProven = () => {
				// Others may have come in since.
				if (this.isFull(guest)) return "full";
				this.guests.set(stream, guest);
				this.porch.leave(rawStream);
				stream.release();
				return undefined;
			};
			const onFault = (err: Error) => this.fault(box, err);
			const mux = new Mux(stream, onFault);
			// A TCP connection lives beside one on which heads are told.
			const me =
				transport === "udx"
					? membership
					: { ...membership, currentHead: () => undefined };
			admit(mux, transport, me, { onProven, onMember, onRefused });
			if (stream.isInitiator) return;
			const drop = () => onRefused("crowded", "others came from its address");
			this.porch.enter(rawStream, address, drop);
		}
	}

	/** Keeps a box away for a while. */
	exile(box: BoxId, time: Millis): void {
		const now = Date.now();
		for (const [other, until] of this.exiles) {
			if (until <= now) this.exiles.delete(other);
		}
		this.exiles.set(box, now + time);
	}

	isExiled(box: BoxId): boolean {
		return (this.exiles.get(box) ?? 0) > Date.now();
	}

	/** Ends all connections; there will be no others. */
	close(): void {
		this.closed = true;
		for (const stream of this.streams) stream.destroy();
	}

	/** TCP connections are few as their neighbours are. */
	private isFull({ transport, address }: Guest): boolean {
		if (transport === "tcp") return false;
		const { limit } = this.options;
		const guests = [...this.guests.values()].filter(
			(other) => other.transport === "udx",
		);
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
