import type { Duplex } from "node:stream";

/**
 * Who is welcome is let in after some 20 ms, who stays mute is sent away after 3 s: few places are enough, and each is worth a buffer of
 * 96 KiB at most. Behind a carrier's NAT many boxes come from one address, but not so many in one moment.
 */
export const MAX_WAITING_PER_ADDRESS = 32;
export const MAX_WAITING = 128;

interface Guest {
	readonly address: string;
	readonly drop: () => void;
}

/**
 * Inbound connections, over UDX and TCP, that were not let in yet. When there are too many, the one that waits longest of the most
 * crowded address makes room: turning newcomers away instead would let a few mute ones keep everybody out.
 * Invariant: at most MAX_WAITING wait, and MAX_WAITING_PER_ADDRESS of one address; in the order in which they came.
 */
export class Porch {
	private readonly guests = new Map<Duplex, Guest>();

	/** Somebody came, or came further; it leaves with the end of its connection at the latest. `drop` ends it to make room. */
	enter(raw: Duplex, address: string, drop: () => void): void {
		const isNew = !this.guests.has(raw);
		this.guests.set(raw, { address, drop });
		if (!isNew) return;
		raw.once("close", () => this.leave(raw));
		const crowd = this.largestCrowd();
		const isCrowded =
			crowd.length > MAX_WAITING_PER_ADDRESS || this.guests.size > MAX_WAITING;
		const [longest] = crowd;
		if (longest === undefined || !isCrowded) return;
		const guest = this.guests.get(longest);
		this.leave(longest);
		guest?.drop();
	}

	/** It was let in, or is gone. */
	leave(raw: Duplex): void {
		this.guests.delete(raw);
	}

	/** Those of the address that most came from. */
	private largestCrowd(): readonly Duplex[] {
		const crowds = new Map<string, Duplex[]>();
		for (const [raw, { address }] of this.guests) {
			const crowd = crowds.get(address);
			if (crowd === undefined) crowds.set(address, [raw]);
			else crowd.push(raw);
		}
		let largest: readonly Duplex[] = [];
		for (const crowd of crowds.values()) {
			if (crowd.length > largest.length) largest = crowd;
		}
		return largest;
	}
}
