import type { Duplex } from "node:stream";
import SecretStream, { type NoiseOptions } from "@hyperswarm/secret-stream";
import { type Bytes, KiB, MiB } from "../base/units.ts";
import { MAX_CHUNK } from "../wire/exchange.ts";

export type Transport = "udx" | "tcp";

/** Noise and the membership hello are small. */
const MAX_EARLY_FRAME: Bytes = 96 * KiB;
/** Both together, and the opening of a channel or two: who is not known to be a member has no more to say. */
const MAX_EARLY: Bytes = 128 * KiB;
/** A chunk, and what it is wrapped in. Each connection of a member may make this side set so much aside. */
const MAX_FRAME: Bytes = MAX_CHUNK + KiB;
/** The longest that a member sends is a head, of 4 MiB at most. */
const MAX_LONG_FRAME: Bytes = 5 * MiB;

/** Is told of frames longer than MAX_FRAME while they come: what they take has to be bounded over all connections. */
export interface LongFrames {
	/** May end the connection. */
	readonly begin: (length: Bytes) => void;
	/** It has come. */
	readonly end: () => void;
}

/**
 * A Noise stream, over UDX or TCP, on which only a few small frames may come until the other side is known to be a member:
 * four bytes from anybody would make the stream set 16 MiB aside.
 */
export class GuardedStream extends SecretStream {
	// Set while the constructor of SecretStream runs, which calls `start`.
	declare private isMember: boolean;
	declare private long: LongFrames | undefined;

	override start(raw: Duplex, options: NoiseOptions): void {
		this.isMember = false;
		this.long = undefined;
		let early = 0;
		// First among the listeners: it sees each length before the stream makes room for the frame.
		followFrames(
			raw,
			(length) => this.judge(length),
			() => this.long?.end(),
		);
		raw.on("data", (data: Buffer) => {
			if (this.isMember) return;
			early += data.length;
			if (early > MAX_EARLY) this.refuse(`${early} bytes before admission`);
		});
		// A connection that was closed is remembered for a while; what it began to send need not be.
		raw.once("close", () => {
			this._message = null;
		});
		super.start(raw, options);
	}

	/** The other side is a member: its frames may be larger from now on, and with `long` as long as a head. */
	release(long?: LongFrames): void {
		this.isMember = true;
		this.long = long;
	}

	private judge(length: Bytes): void {
		if (length <= (this.isMember ? MAX_FRAME : MAX_EARLY_FRAME)) return;
		if (this.long === undefined || length > MAX_LONG_FRAME)
			this.refuse(`a frame of ${length} bytes`);
		else this.long.begin(length);
	}

	private refuse(what: string): void {
		if (!this.destroying) this.destroy(new Error(what));
	}
}

/** Tells the length of each frame, which its first three bytes say (little-endian), and when it has come. */
function followFrames(
	raw: Duplex,
	onLength: (length: Bytes) => void,
	onEnd: () => void,
): void {
	let header = 0;
	let length = 0;
	let left = 0;
	raw.on("data", (data: Buffer) => {
		for (let at = 0; at < data.length; ) {
			if (left > 0) {
				const step = Math.min(left, data.length - at);
				left -= step;
				at += step;
				if (left === 0) onEnd();
				continue;
			}
			length += (data[at++] ?? 0) * 256 ** header;
			if (++header < 3) continue;
			left = length;
			onLength(length);
			header = 0;
			length = 0;
		}
	});
}
