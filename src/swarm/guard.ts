import type { Duplex } from "node:stream";
import SecretStream, { type NoiseOptions } from "@hyperswarm/secret-stream";
import { type Bytes, KiB } from "../base/units.ts";

/** Noise and the membership hello are small. */
const MAX_EARLY_FRAME: Bytes = 96 * KiB;

/**
 * A Noise stream, over UDX or TCP, on which only small frames may come until the other side is known to be a member:
 * four bytes from anybody would make the stream set 16 MiB aside.
 */
export class GuardedStream extends SecretStream {
	// Set while the constructor of SecretStream runs, which calls `start`.
	declare private unguard: (() => void) | undefined;

	override start(raw: Duplex, options: NoiseOptions): void {
		// First among the listeners: it sees each length before the stream makes room for the frame.
		this.unguard = followFrames(raw, (length) => {
			if (length <= MAX_EARLY_FRAME) return;
			this.release();
			this.destroy(new Error(`a frame of ${length} bytes before admission`));
		});
		super.start(raw, options);
	}

	/** The other side is a member: its frames may be large from now on. */
	release(): void {
		this.unguard?.();
		this.unguard = undefined;
	}
}

/** Tells the length of each frame, which its first three bytes say (little-endian). The function given back ends it. */
function followFrames(
	raw: Duplex,
	onLength: (length: Bytes) => void,
): () => void {
	let header = 0;
	let length = 0;
	let left = 0;
	const onData = (data: Buffer) => {
		for (let at = 0; at < data.length; ) {
			if (left > 0) {
				const step = Math.min(left, data.length - at);
				left -= step;
				at += step;
				continue;
			}
			length += (data[at++] ?? 0) * 256 ** header;
			if (++header < 3) continue;
			left = length;
			onLength(length);
			header = 0;
			length = 0;
		}
	};
	raw.on("data", onData);
	return () => raw.off("data", onData);
}
