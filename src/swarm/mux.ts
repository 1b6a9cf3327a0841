import Protomux from "protomux";
import type { GuardedStream } from "./guard.ts";

/** Channels that the other side may open in the life of one connection: three of Larder's, and one for each log of the catalog. */
const MAX_OPENED = 256;

/**
 * Protomux as a stranger may use it. By itself it ends the process when reading a frame throws a RangeError or a TypeError,
 * which batches in batches in batches do to anybody's stack; and it answers each channel that it does not know, whether or
 * not the answers are read. Here whatever comes of a frame ends its connection and nothing else.
 * Invariant: at most MAX_OPENED channels were opened by the other side, so no more than that many wait, are remembered or answered.
 */
export class Mux extends Protomux {
	private readonly onFault: (fault: Error) => void;
	private openings = 0;
	private inBatch = false;

	/** Whoever asks for the Protomux of this stream from now on gets this one. `onFault` hears of errors that are faults of this program. */
	constructor(stream: GuardedStream, onFault: (fault: Error) => void) {
		super(stream);
		this.onFault = onFault;
	}

	override _onopensession(...frame: Parameters<Protomux["_onopensession"]>) {
		if (++this.openings > MAX_OPENED) throw new Error("too many channels");
		return super._onopensession(...frame);
	}

	override _onbatch(...frame: Parameters<Protomux["_onbatch"]>) {
		if (this.inBatch) throw new Error("a batch in a batch");
		this.inBatch = true;
		try {
			super._onbatch(...frame);
		} finally {
			this.inBatch = false;
		}
	}

	override _safeDestroy(error: Error) {
		if (error instanceof TypeError || error instanceof RangeError) {
			this.onFault(error);
		}
		this.destroy(error);
	}
}
