import Protomux from "protomux";
import type { Log } from "../base/log.ts";
import type { Millis } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import type { GuardedStream } from "./guard.ts";
import {
	type AdmissionReason,
	admit,
	type Member,
	type Membership,
} from "./membership.ts";

export type Transport = "udx" | "tcp";

export interface AdmissionOptions {
	readonly membership: Membership;
	/** Connections over UDX at a time; the listener has limits of its own for TCP. */
	readonly limit: number;
	readonly log: Log;
}

/**
 * The door: every connection comes in here. Who is let in, who was not and why, and who stays away for a while.
 * Invariants: `streams` holds every connection that is open, admitted or not. `exiles` holds only boxes that were members.
 */
export class Admission {
	/** How often connections were refused, by slug. */
	readonly refusals = new Map<AdmissionReason, number>();
	private readonly options: AdmissionOptions;
	private readonly streams = new Map<GuardedStream, Transport>();
	private readonly exiles = new Map<BoxId, Millis>();
	private closed = false;

	constructor(options: AdmissionOptions) {
		this.options = options;
	}

	/** Runs membership on a new connection; ends the connection when it does not pass. */
	enter(
		stream: GuardedStream,
		transport: Transport,
		onMember: (member: Member) => void,
	): void {
		const box = stream.remotePublicKey.toString("hex") as BoxId;
		this.streams.set(stream, transport);
		stream.on("close", () => this.streams.delete(stream));
		stream.on("error", (err) => {
			this.options.log.debug(
				{ err, transport, box: short(box) },
				"a connection ended",
			);
		});
		const onRefused = (slug: AdmissionReason, detail: string) => {
			this.refusals.set(slug, (this.refusals.get(slug) ?? 0) + 1);
			// Those who stay out try again and again.
			const level = slug === "exiled" || slug === "full" ? "debug" : "info";
			this.options.log[level](
				{ box: short(box), slug, detail, transport },
				"connection refused",
			);
			stream.destroy();
		};
		if (this.closed) stream.destroy();
		else if (this.isExiled(box)) onRefused("exiled", "it was cut off");
		else if (this.isFull(transport)) onRefused("full", "too many");
		else {
			const onProven = () => stream.release();
			const { membership } = this.options;
			// A TCP connection lives beside one on which heads are told.
			const me =
				transport === "udx"
					? membership
					: { ...membership, currentHead: () => undefined };
			admit(Protomux.from(stream), me, {
				onProven,
				onMember,
				onRefused,
			});
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
		for (const stream of this.streams.keys()) stream.destroy();
	}

	private isFull(transport: Transport): boolean {
		if (transport === "tcp") return false;
		let open = 0;
		for (const other of this.streams.values()) if (other === "udx") open++;
		return open > this.options.limit;
	}
}
